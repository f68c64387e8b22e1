"""`inspect` on a small real ELF file with notes, and on everything that is none."""

import gzip
import json
import subprocess
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import UsageError
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.descriptor import descriptor, image_id
from tinyvmi_build.render.plan import identity_items, rendered

IDS = ["ab" * 20]
TOOLCHAIN = {"compiler": "gcc 12", "linker": "GNU ld 2.40"}
XEN = """
.section .note.Xen, "a", @note
    .long 4, 8, 6
    .asciz "Xen"
    .asciz "Mini-OS"
.text
.global _start
_start: hlt
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory):
    """An ELF file with the note that the renderer makes and one of Xen's."""
    folder = tmp_path_factory.mktemp("elf")
    (folder / "note.c").write_text(rendered(identity_items(Config(), IDS, TOOLCHAIN))["generated/note.c"])
    (folder / "xen.S").write_text(XEN)
    include = f"-I{data_dir('minios_app') / 'include'}"
    command = ["gcc", "-nostdlib", "-static", "-no-pie", include, "note.c", "xen.S", "-o", "image.elf"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "image.elf"


def test_what_is_inside(elf):
    found = inspect(elf)
    assert found.tinyvmi == descriptor(Config(), IDS, TOOLCHAIN)
    assert found.image_id == image_id(found.tinyvmi)
    assert found.xen == {"GUEST_OS": "Mini-OS"}
    assert not found.compressed
    assert found.file_size == found.elf_size == elf.stat().st_size
    text = next(s for s in found.sections if s.name == ".text")
    assert (text.flags, text.address, text.in_file) == ("rx", found.entry, True)
    json.dumps(asdict(found))


def test_gzip_makes_no_difference(elf, tmp_path):
    packed = tmp_path / "image.gz"
    packed.write_bytes(gzip.compress(elf.read_bytes()))
    plain, found = asdict(inspect(elf)), asdict(inspect(packed))
    assert found["compressed"]
    for key in ("elf_size", "sections", "tinyvmi", "xen", "image_id", "entry"):
        assert found[key] == plain[key]


def test_what_is_no_image(elf, tmp_path):
    data = elf.read_bytes()
    wrong_machine = data[:18] + b"\xb7\x00" + data[20:]
    for content, message in [
        (b"", "not an image"),
        (b"text", "not an image"),
        (gzip.compress(b"text"), "not an image"),
        (gzip.compress(data)[:-20], "cannot be decompressed"),
        (data[:100], "not a usable image"),
        (data[:-64], "not a usable image"),
        (wrong_machine, "not for x86-64"),
        (data.replace(b'{"abi"', b'!"abi"'), "TinyVMI note is damaged"),
    ]:
        path = tmp_path / "image"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            inspect(path)
    with pytest.raises(UsageError, match="No such file"):
        inspect(tmp_path / "missing")
    with pytest.raises(UsageError, match="is a folder"):
        inspect(tmp_path)


@given(st.data())
@settings(max_examples=60)
def test_damage_anywhere_is_an_error_or_harmless(elf, tmp_path_factory, data):
    raw = bytearray(elf.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "image"
    path.write_bytes(raw)
    try:
        inspect(path)
    except UsageError as error:
        assert "\n" not in error.message
