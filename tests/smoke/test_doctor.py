"""`doctor` checks this machine, and boots its probe."""

from __future__ import annotations

import json
import shutil

import pytest

from tinyvmi_build.cli.main import run
from tinyvmi_build.doctor import probe
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
