"""A missing tool and a failing compiler are told as such."""

import pytest

from tinyvmi_build.errors import Exit, MissingEnvironmentError
from tinyvmi_build.image import toolchain
from tinyvmi_build.image.meson import run_tool
from tinyvmi_build.image.toolchain import require_toolchain


def test_this_machine_has_a_toolchain():
    require_toolchain()


def test_everything_that_is_missing_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "XEN_HEADER", tmp_path / "xen.h")
    with pytest.raises(MissingEnvironmentError) as caught:
        require_toolchain()
    assert caught.value.exit is Exit.ENVIRONMENT
    assert caught.value.message.endswith("lacks gcc, ld, strip, Xen's public headers")
    assert caught.value.hint == "apt-get install binutils gcc libxen-dev"


def test_a_failing_tool_shows_its_command_and_output(tmp_path):
    (tmp_path / "bad file.c").write_text("int x = ;\n")
    with pytest.raises(MissingEnvironmentError) as caught:
        run_tool(["gcc", "-c", str(tmp_path / "bad file.c")], "it does not compile")
    assert caught.value.message.startswith("it does not compile:\n")
    assert "error: expected expression" in caught.value.message
    assert f"(command: gcc -c '{tmp_path}/bad file.c')" in caught.value.message
    with pytest.raises(MissingEnvironmentError, match="no-such-tool: No such file"):
        run_tool(["no-such-tool"], "x")


def test_a_build_does_not_take_up_flags_of_the_shell(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")
    run_tool(["sh", "-c", 'test -z "$CFLAGS"'], "CFLAGS came through")
