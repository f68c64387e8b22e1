"""`doctor` looks for itself, boots a probe, and fails when something required is missing."""

import json
import shutil
import subprocess

import pytest

from tinyvmi_build.cli.main import run
from tinyvmi_build.doctor import checks, probe
from tinyvmi_build.errors import Exit


def test_this_machine(capsys):
    status = run(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in document["rows"]}
    assert document["ok"] == (status == 0) == all(r["status"] != "missing" for r in document["rows"])
    assert {
        "python",
        "gcc",
        "ld",
        "meson",
        "ninja",
        "xen-headers",
        "apt-get",
        "qemu",
        "disk",
        "memory",
    } <= set(rows)
    assert rows["python"]["status"] == "ok"
    assert all(row["fix"] for row in rows.values() if row["status"] != "ok")


def test_what_is_missing_is_named_with_its_fix(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["doctor"]) == Exit.ENVIRONMENT
    out = capsys.readouterr().out
    assert "✗ gcc           none                         >= 10\n  → apt-get install gcc\n" in out
    assert "✗ qemu" in out
    assert "tcg" not in out


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


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU")
def test_the_probe_tells_a_guest_that_ran_from_one_that_did_not(monkeypatch):
    assert probe.boot("qemu-system-x86_64", "tcg")[0]
    good, seen = probe.boot("qemu-system-x86_64", "no-such-accelerator")
    assert not good
    assert "no-such-accelerator" in seen
    # The same kernel that halts at once: QEMU runs on, and that is no success.
    halted = probe.kernel().replace(bytes([0xE6, probe._PORT]), bytes([0x90, 0x90]))
    monkeypatch.setattr(probe, "kernel", lambda: halted)
    assert probe.boot("qemu-system-x86_64", "tcg", timeout_s=2) == (False, "the guest did not end within 2 s")


def test_no_qemu_is_no_success():
    assert probe.boot("/no/such/qemu", "tcg") == (False, "/no/such/qemu: No such file or directory")
