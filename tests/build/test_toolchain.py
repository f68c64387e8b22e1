"""What a machine lacks is named at once; an image names the toolchain that made it."""

from pathlib import Path

import pytest

from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import Exit, MissingEnvironmentError
from tinyvmi_build.image import toolchain
from tinyvmi_build.image.toolchain import describe_toolchain, require_toolchain
from tinyvmi_build.render.descriptor import descriptor, image_id


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`programs(name, text)`: put a program before all others that prints `text`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def make(name: str, text: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (folder / name).chmod(0o755)

    return make


def identity() -> str:
    return image_id(descriptor(Config(), ["ab" * 20], describe_toolchain()))


def test_this_machine_has_a_toolchain():
    require_toolchain()
    assert all(describe_toolchain().values())


def test_everything_that_is_missing_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "XEN_HEADER", tmp_path / "xen.h")
    with pytest.raises(MissingEnvironmentError) as caught:
        require_toolchain()
    assert caught.value.exit is Exit.ENVIRONMENT
    assert caught.value.message.endswith("lacks gcc, ld, strip, Xen's public headers")
    assert caught.value.hint == "apt-get install binutils gcc libxen-dev"


def test_what_is_missing_has_no_version(tmp_path, monkeypatch):
    """`render` needs no compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = describe_toolchain()
    assert found["compiler"] == found["assembler"] == found["linker"] == ""


def test_another_compiler_makes_another_image_id(programs):
    before = identity()
    assert identity() == before
    programs("gcc", "gcc (Debian 14.2.0-19) 14.2.0")
    assert describe_toolchain()["compiler"] == "gcc (Debian 14.2.0-19) 14.2.0"
    assert identity() != before


def test_the_linker_is_the_one_that_the_compiler_calls(programs, tmp_path):
    before = identity()
    programs("my-ld", "GNU ld 9.99")
    programs("gcc", str(tmp_path / "bin/my-ld"))  # its answer to -print-prog-name
    assert describe_toolchain()["linker"] == "GNU ld 9.99"
    assert identity() != before


def test_other_headers_of_xen_make_another_image_id(tmp_path, monkeypatch):
    (tmp_path / "xen.h").write_text("#define X 1\n")
    monkeypatch.setattr(toolchain, "XEN_HEADER", tmp_path / "xen.h")
    before = identity()
    (tmp_path / "xen.h").write_text("#define X 2\n")
    assert identity() != before
