"""The whole command, on a dom0 without guests: what a signal does while it waits for its target."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.xen.test_folder import folder  # noqa: F401

#: A dom0 as far as the command asks for one; the tools on its PATH are below.
DRIVER = """
import os, sys
from pathlib import Path
from tinyvmi_build.xen import ownership, xl
xl.CAPABILITIES = Path(sys.argv[1]) / "capabilities"
os.geteuid = lambda: 0
ownership.lock_folder = lambda: Path(sys.argv[1]) / "run"
from tinyvmi_build.cli.main import run
sys.exit(run(sys.argv[2:]))
"""
TOOLS = {
    "xl": "#!/bin/sh\necho 'Domain-0  0  768  2  r-----  21.2'\n",
    "xenstore-watch": "#!/bin/sh\nexec sleep 100\n",
}


@pytest.fixture
def dom0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dom0")
    (root / "capabilities").write_text("control_d\n")
    for name, text in TOOLS.items():
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    return root


def waiting(dom0: Path, folder: Path, *options: str) -> subprocess.Popen[str]:  # noqa: F811
    """A launch that waits for its target."""
    (folder / "tinyvmi-web.cfg").write_text('name = "tinyvmi-web"\n')
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(dom0), "launch", str(folder), *options],
        env={**os.environ, "PATH": f"{dom0}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting for a domain 'web-1'" in line:
            return process
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_soon_and_with_a_result(
    dom0: Path,
    folder: Path,  # noqa: F811
    number: signal.Signals,
) -> None:
    process = waiting(dom0, folder, "--json")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    stopped, result = map(json.loads, out.splitlines())
    assert (stopped["event"], stopped["reason"]) == ("stopped", f"it was asked to by {number.name}")
    assert (process.returncode, result["event"], result["exit"]) == (130, "result", 130)
    assert result["target"] == "web-1"


def test_a_second_launch_is_refused_while_it_waits(dom0: Path, folder: Path) -> None:  # noqa: F811
    process = waiting(dom0, folder)
    try:
        again = subprocess.run(
            [sys.executable, "-c", DRIVER, str(dom0), "launch", str(folder)],
            env={**os.environ, "PATH": f"{dom0}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 4
        assert f"'tinyvmi-web' runs already: process {process.pid} has launched it" in again.stderr
    finally:
        process.kill()
        process.communicate()
    process = waiting(dom0, folder)  # the lock went with the process
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130
