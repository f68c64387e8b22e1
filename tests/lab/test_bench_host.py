"""`tinyvmi-build bench --host` in a dom0 that has a whole Debian: this machine's own, under the lab's Xen."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tinyvmi_build.bench.lab import programs
from tinyvmi_build.config.load import load
from tinyvmi_build.lab.guest.modules import in_order
from tinyvmi_build.lab.machine.packages import fetch_kernel, unpacked_kernel
from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.progress import Progress

HERE = Path(__file__).parent


@pytest.mark.long
def test_bench_in_dom0(qemu: None, tmp_path: Path) -> None:
    """What is built lies there already, with the times of its files: compiling under emulation takes long."""
    project = tmp_path / "tinyvmi.toml"
    project.write_text(own_project(Progress()).read_text())
    programs(load(project, (), env={}), load(project, ("golden.comparison=digest",), env={}), Progress())
    modules = in_order(
        unpacked_kernel(fetch_kernel("linux-image-amd64")), ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
    )
    files: dict[str, Path | bytes] = {"/lab/host_root.sh": HERE / "host_root.sh"}
    files |= {f"/lab/modules/{n:02d}-{name}.ko": data for n, (name, data) in enumerate(modules.items())}
    with Lab(files, MachineOptions(folder=tmp_path / "lab", share=Path("/"), memory_mib=(3072, 1536))) as lab:
        lab.run(["sh", "/lab/host_root.sh"], 120).check()
        lab.create_target()
        environment = {
            name: os.environ[name]
            for name in ("HOME", "TINYVMI_CACHE", "TINYVMI_TIMEOUT_FACTOR")
            if name in os.environ
        }
        environment |= {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin", "PYTHONPATH": str(HERE.parent.parent)}
        bench = [
            sys.executable,
            "-m",
            "tinyvmi_build",
            "bench",
            "--host",
            "--target",
            "target",
            "--quick",
            "--rounds",
            "1",
        ]
        argv = [
            *(f"{name}={value}" for name, value in environment.items()),
            *bench,
            "--json",
            "-c",
            str(project),
        ]
        done = lab.run(["chroot", "/mnt", "/usr/bin/env", "-C", str(tmp_path), *argv], 900).check()
        (run,) = json.loads("".join(done.out.splitlines()))["runs"]  # the agent cuts long lines
        print(done.out)
    assert run["clock"] == "host" and not run["failed"]
    assert run["xen"].startswith("Xen 4.17") and run["kernel"].endswith("cloud-amd64")
