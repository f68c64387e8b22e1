"""What must be trusted, in lines and bytes; and the memory that a monitor really needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tinyvmi_build.bench.code import code_by_part
from tinyvmi_build.bench.lab import MONITOR, LabMeasurement
from tinyvmi_build.bench.result import Run
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.build import BuildResult
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.image.meson import compiled_in
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine import initramfs
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.paths import data_dir
from tinyvmi_build.progress import Progress

_KERNEL = ("kernel",)  # the built-in kernel
_CORE = ("include", "introspect", "checks", "digest", "monitor", "platform/minios", "platform/xen")
_SUFFIXES = (".c", ".h", ".S")
_TRIED_MIB = (4, 6, 8, 12, 16, 24, 32, 48, 64)


def sizes(loaded: Loaded, built: BuildResult, progress: Progress) -> dict[str, int]:
    """Of the monitor and, beside it, of the lab's dom0, which is as small as one can be."""
    app = data_dir("minios_app")
    image = inspect(built.image)
    code = sum(s.size for s in image.sections if "x" in s.flags)
    data = sum(s.size for s in image.sections if "x" not in s.flags and s.in_file)
    empty = sum(s.size for s in image.sections if not s.in_file)
    parts = code_by_part(built.elf, compiled_in(built.folder / "meson") / "meson" / "kernel")
    dom0 = initramfs.dom0_kernel(progress)
    system = initramfs.base(progress)
    return {
        "base, lines": _lines(p for name in _KERNEL for p in _sources(app / name) if "tests" not in p.parts),
        "monitor, lines": _lines(p for name in _CORE for p in _sources(app / name)),
        "generated C, lines": _lines(_sources(built.folder / "generated")),
        "image, gzip, bytes": image.file_size,
        "image, in memory, bytes": image.memory_size,
        "  of it code, bytes": code,
        **{f"    of it {part}'s, bytes": size for part, size in parts.items() if size},
        "  of it constants and golden values, bytes": data,
        "  of it zeros at the start, bytes": empty,
        "domain, as configured, MiB": _configured(built.xl_config),
        "dom0's kernel, compressed, bytes": dom0.stat().st_size,
        "dom0's system (xl, xenstored, Python, …), bytes": system.stat().st_size,
        "  of it busybox, bytes": guest.busybox(progress).stat().st_size,
    }


def least_memory(into: dict[str, int], progress: Progress) -> LabMeasurement:
    """Find the smallest of some sizes with which a domain makes an intact scan, and put it into `into`."""

    def measure(lab: Lab, target: Target, run: Run) -> None:
        with progress.step("the least memory that a monitor works with"):
            try:
                for mib in _TRIED_MIB:
                    _give(lab, mib)
                    argv = ["tinyvmi-build", "launch", MONITOR, "--target", target.name]
                    # The second scan also stores what the first has verified.
                    if lab.run([*argv, "--scans", "2", "--period", "10ms"], 180).status == 0:
                        into["domain, the least in which scans are intact, MiB"] = mib
                        return
            finally:
                _give(lab, into["domain, as configured, MiB"])
        run.failed.append(f"a monitor of {_TRIED_MIB[-1]} MiB makes no intact scan")

    return measure


def _give(lab: Lab, mib: int) -> None:
    change = f"sed -i -E 's/^(memory|maxmem) = .*/\\1 = {mib}/' {MONITOR}/*.cfg"
    lab.run(["sh", "-c", change]).check()


def _configured(config: Path) -> int:
    found = re.search(r"^memory = (\d+)$", config.read_text(), re.MULTILINE)
    if found is None:
        raise MissingEnvironmentError(f"{config} does not set the memory")
    return int(found[1])


def _sources(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES)


def _lines(paths: Iterable[Path]) -> int:
    """Lines that are not empty, comments included."""
    return sum(bool(line.strip()) for path in paths for line in path.read_text().splitlines())
