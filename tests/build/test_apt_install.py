"""toolchain/apt-install.sh waits for apt's lock, and names who holds it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.build.conftest import ROOT
from tinyvmi_build.timeouts import timeout

SCRIPT = ROOT / "toolchain" / "apt-install.sh"
LOCKS = [Path("/var/lib/apt/lists/lock"), Path("/var/lib/dpkg/lock-frontend")]
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="apt-get needs root")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_it_waits_and_names_the_holder(lock: Path) -> None:
    with lock.open("w") as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        command = [str(SCRIPT), "coreutils"]  # it is there: apt has nothing to do
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            try:
                assert running.stderr is not None
                # Another process may hold a lock, too, and is then named before.
                line = next(line for line in running.stderr if f"process {os.getpid()} (" in line)
                assert "apt's lock is held by process" in line and "python" in line
                assert running.poll() is None
                fcntl.lockf(handle, fcntl.LOCK_UN)
                assert running.wait(timeout(300)) == 0
            finally:
                running.kill()  # or it would wait for the lock that is still held here


def test_other_errors_are_shown() -> None:
    command = [str(SCRIPT), "no-such-package-of-debian"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout(300), check=False)
    assert done.returncode != 0
    assert "Unable to locate package no-such-package-of-debian" in done.stderr
