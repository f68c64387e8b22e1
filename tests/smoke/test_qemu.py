from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.qemu import BINARY, Qemu
from tinyvmi_build.timeouts import timeout

MACHINE = ["-machine", "pc", "-m", "16", "-S"]
pytestmark = pytest.mark.skipif(shutil.which(BINARY) is None, reason=f"{BINARY} is missing")


def test_start_ask_stop(tmp_path: Path) -> None:
    qemu = Qemu(MACHINE, tmp_path)
    qemu.start()
    try:
        assert qemu.qmp("query-status")["running"] is False
        with pytest.raises(MissingEnvironmentError, match="refuses no-such-command"):
            qemu.qmp("no-such-command")
        assert qemu.alive
    finally:
        qemu.stop()
    assert not qemu.alive
    assert "QEMU emulator version" in (tmp_path / "command").read_text()


def test_what_qemu_says_is_saved(tmp_path: Path) -> None:
    qemu = Qemu(["-machine", "no-such-machine"], tmp_path)
    qemu.start()
    deadline = time.monotonic() + timeout(20)
    while qemu.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    qemu.stop()
    assert "unsupported machine type" in qemu.trouble()


def test_qemu_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from tinyvmi_build.lab.machine.qemu import Qemu\n"
        f"qemu = Qemu({MACHINE!r}, pathlib.Path(sys.argv[1])); qemu.start()\n"
        "print(qemu._process.pid, flush=True); time.sleep(100)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}/cmdline").read_text()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + timeout(20)
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(pid)


def running(pid: int) -> bool:
    """It exists and is no zombie that nobody has collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
