"""The message about a tool that is missing or fails."""

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.tool import run_tool


def test_a_failing_tool_shows_its_command_and_output(tmp_path):
    (tmp_path / "bad file").write_text("echo 'error: expected expression' >&2; exit 1\n")
    with pytest.raises(MissingEnvironmentError) as caught:
        run_tool(["sh", str(tmp_path / "bad file")], "it does not compile")
    assert caught.value.message.startswith("it does not compile:\n")
    assert "error: expected expression" in caught.value.message
    assert f"(command: sh '{tmp_path}/bad file')" in caught.value.message
    with pytest.raises(MissingEnvironmentError, match="no-such-tool: No such file"):
        run_tool(["no-such-tool"], "x")


def test_a_build_does_not_take_up_flags_of_the_shell(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")
    run_tool(["sh", "-c", 'test -z "$CFLAGS"'], "CFLAGS came through")
