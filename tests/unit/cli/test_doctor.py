"""`doctor` checks this machine, boots a probe, and fails when something required is missing."""

import subprocess

from tinyvmi_build.doctor import checks, probe


def test_an_old_version_is_missing():
    assert checks._version("x", "9.10.1", "10", "fix").status == "missing"
    assert checks._version("x", "10", "9.10.1", "fix").status == "ok"
    assert checks._version("x", "", "1", "fix").found == "none"


def test_too_little_of_something():
    assert checks._amount("disk", 2.9, 3, "fix").status == "missing"
    assert checks._amount("disk", 3.0, 3, "fix") == checks.Row("disk", "ok", "3.0 GiB free", ">= 3 GiB", "")


def test_the_probe_is_an_elf_file(tmp_path):
    (tmp_path / "probe").write_bytes(probe.kernel())
    out = subprocess.run(["readelf", "-hl", tmp_path / "probe"], capture_output=True, text=True, check=True)
    assert "Intel 80386" in out.stdout
    assert "Entry point address:               0x10000c" in out.stdout
    assert not out.stderr


def test_no_qemu_is_no_success():
    assert probe.boot("/no/such/qemu", "tcg") == (False, "/no/such/qemu: No such file or directory")
