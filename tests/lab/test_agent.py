"""Commands and files in dom0."""

from __future__ import annotations

import signal
import time

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.timeouts import timeout


def test_output_errors_and_status_come_back(lab: Lab) -> None:
    result = lab.run(["sh", "-c", "echo one; echo two >&2; printf 'three\\r\\n\\377'; exit 7"])
    assert (result.status, result.out, result.err) == (7, "one\nthree\n\ufffd\n", "two\n")
    with pytest.raises(MissingEnvironmentError, match="ended with 7: two"):
        result.check()


def test_lines_come_while_the_command_runs(lab: Lab) -> None:
    remote = lab.spawn(["sh", "-c", "echo first; sleep 100"])
    assert next(remote.lines(20)) == "first"
    remote.kill(signal.SIGTERM)
    assert remote.wait(20).status == -signal.SIGTERM


def test_several_at_once(lab: Lab) -> None:
    start, seconds = time.monotonic(), round(timeout(5))
    slow = lab.spawn(["sh", "-c", f"sleep {seconds}; echo slow"])
    assert lab.run(["echo", "quick"]).out == "quick\n"
    assert time.monotonic() - start < seconds
    assert slow.wait(30 + seconds).out == "slow\n"


def test_a_command_that_takes_too_long_is_killed(lab: Lab) -> None:
    with pytest.raises(TimeoutError):
        lab.run(["sleep", "98765"], seconds=1)
    deadline = time.monotonic() + timeout(20)
    while "98765" in lab.run(["ps"]).out:
        assert time.monotonic() < deadline


def test_an_unknown_command_is_an_error(lab: Lab) -> None:
    with pytest.raises(MissingEnvironmentError, match="cannot run `no-such-command`"):
        lab.run(["no-such-command"])


def test_files_survive_the_serial_port(lab: Lab) -> None:
    data = bytes(range(256)) * 16 + b"\r\n\r\r\n"
    lab.agent.put("/tmp/some/file", data)
    assert lab.agent.get("/tmp/some/file") == data
    lab.agent.put("/tmp/some/file", b"")
    assert lab.agent.get("/tmp/some/file") == b""


def test_a_missing_file_is_an_error(lab: Lab) -> None:
    with pytest.raises(MissingEnvironmentError, match="No such file"):
        lab.agent.get("/tmp/nowhere")


def test_nothing_strange_came_over_the_line(lab: Lab) -> None:
    assert lab.agent.trouble == []
    assert "TINYVMI-DOM0 failed" not in lab.console_log
