"""The BTF of a real kernel as an ISF file."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from tinyvmi_build.kernel.btf import Btf


def test_the_real_kernel_as_a_file(cloud_kernel: Path, tmp_path: Path) -> None:
    from tinyvmi_build.cli.main import run
    from tinyvmi_build.profile.build import build

    profiles = build([cloud_kernel])
    profiles.save(tmp_path / "p")
    for name in ("out.json", "out.json.xz"):
        assert run(["profile", "export", str(tmp_path / "p"), "--isf", str(tmp_path / name)]) == 0
    text = (tmp_path / "out.json").read_bytes()
    assert lzma.decompress((tmp_path / "out.json.xz").read_bytes()) == text
    table = json.loads(text)
    kernel, btf = profiles.kernels[0], Btf(profiles.kernels[0].blob("btf"), "kernel")
    task = table["user_types"]["task_struct"]
    assert task["size"] == btf.sizeof("struct task_struct")
    for field in ("pid", "comm", "tasks", "mm"):
        assert task["fields"][field]["offset"] == btf.offset("struct task_struct", field)
    assert table["symbols"]["init_task"] == {
        "address": kernel.symbols.lookup("init_task"),
        "type": {"kind": "struct", "name": "task_struct"},
    }
    assert table["symbols"]["runqueues"]["type"] == {"kind": "struct", "name": "rq"}  # BTF says so
    assert run(["profile", "export", str(tmp_path / "p"), "--isf", "/x", "--kernel", "9.9"]) == 2
    assert run(["profile", "export", str(tmp_path / "p"), "--isf", str(tmp_path / "no" / "dir")]) == 2
