"""Ctrl-C while a profile is built: one word, no traceback of a worker, nothing left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tinyvmi_build.timeouts import timeout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.5, 2, 4, 7])
def test_an_interrupted_build_leaves_nothing(cloud_kernel, tmp_path, seconds, number):
    for name in ("cache", "tmp", "here"):
        (tmp_path / name).mkdir()
    env = os.environ | {"TINYVMI_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    words = ["-q", "profile", "build", str(cloud_kernel), "-o", "out"]
    command = [sys.executable, "-m", "tinyvmi_build", *words]
    with subprocess.Popen(
        command, cwd=tmp_path / "here", env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        time.sleep(seconds)
        os.killpg(process.pid, number)  # as a terminal does
        try:
            _, err = process.communicate(timeout=timeout(60))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # else leaving the block waits for it
            raise
    if process.returncode == 0:
        pytest.skip("this machine is faster than the signal")
    assert (process.returncode, err.strip()) == (130, "interrupted")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no worker goes on
    left = [p for folder in ("tmp", "here") for p in (tmp_path / folder).rglob("*")]
    left += [p for p in (tmp_path / "cache").rglob(".*")]
    assert not left
