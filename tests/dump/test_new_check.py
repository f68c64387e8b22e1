"""A check that the scaffold has written runs over a real kernel's memory, and reports what is changed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.new_check import NAME, run, tree_with_new_check
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.lab.machine.direct import raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel


def verdict(tree: Path, dump: Path, profile: Path, status: int) -> str:
    """The new check's verdict in the records of one scan."""
    words = ["check", "--dump", str(dump), "--profile", str(profile), "--json"]
    lines = run(tree, "-m", "tinyvmi_build", *words, status=status).splitlines()
    records = [json.loads(line).get("record", {}) for line in lines]
    (found,) = [r["verdict"] for r in records if r.get("type") == "check" and r.get("check") == NAME]
    return str(found)


def test_it_runs_and_finds(tmp_path: Path) -> None:
    tree, profile = tree_with_new_check(tmp_path / "tinyvmi"), tmp_path / "new.profile"
    package = fetch_kernel("linux-image-cloud-amd64", "bookworm")
    run(tree, "-m", "tinyvmi_build", "profile", "build", "--no-modules", str(package), "-o", str(profile))
    dump = raw_dump(package)
    assert verdict(tree, dump, profile, 0) == "intact"
    image = KernelImage.load(package)
    constant = image.read(image.symbols.lookup("linux_proc_banner"), 16)
    data = bytearray(dump.read_bytes())
    assert data.count(constant) == 1
    data[data.find(constant)] ^= 1
    (tmp_path / "changed.raw").write_bytes(data)
    assert verdict(tree, tmp_path / "changed.raw", profile, 5) == "tampered"
