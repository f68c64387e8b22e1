"""The file form: what was written comes back, and nothing else is taken for it."""

import contextlib
import hashlib
import json
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvmi_build.checks import registry
from tinyvmi_build.errors import Exit, MissingEnvironmentError, TinyVMIError, UsageError
from tinyvmi_build.profile.container import MAGIC, VERSION, PackedSection, read_container, write_container
from tinyvmi_build.profile.profile import ProfileFile

PLAIN = {"b": b"", "a": bytes(1000), "c/d": os.urandom(100)}


def write(path, plain):
    write_container(path, {name: PackedSection.pack(data) for name, data in plain.items()})


def complaint(path) -> str:
    with pytest.raises(UsageError) as caught:
        read_container(path)
    assert caught.value.exit is Exit.USAGE
    assert caught.value.hint
    return caught.value.message


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=300), max_size=5))
@settings(max_examples=50)
def test_round_trip(tmp_path_factory, plain):
    path = tmp_path_factory.mktemp("c") / "f"
    write(path, plain)
    assert {name: section.unpack("f") for name, section in read_container(path).items()} == plain


def test_same_sections_same_bytes(tmp_path):
    write(tmp_path / "1", PLAIN)
    write(tmp_path / "2", dict(reversed(PLAIN.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_every_changed_byte_is_seen(tmp_path):
    write(tmp_path / "f", PLAIN)
    good = (tmp_path / "f").read_bytes()
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x40
        (tmp_path / "f").write_bytes(bad)
        complaint(tmp_path / "f")


def test_every_truncation_is_seen(tmp_path):
    write(tmp_path / "f", PLAIN)
    good = (tmp_path / "f").read_bytes()
    for size in range(len(good)):
        (tmp_path / "f").write_bytes(good[:size])
        complaint(tmp_path / "f")
    (tmp_path / "f").write_bytes(good + b"\0")
    complaint(tmp_path / "f")


def test_what_is_said(tmp_path):
    path = tmp_path / "f"
    assert "No such file" in complaint(path)
    path.write_bytes(b"")
    assert "not a profile" in complaint(path)
    path.write_bytes(b"\x7fELF" + bytes(100))
    assert "not a profile" in complaint(path)
    write(path, PLAIN)
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    assert "profile version 9, this tool reads 2" in complaint(path)
    data[8] = VERSION
    path.write_bytes(data[:-1])
    assert "damaged or truncated" in complaint(path)
    assert "is a folder" in complaint(tmp_path)


def forge(path, table: bytes, body: bytes = b"") -> None:
    """A file whose hash is right and whose content may be anything."""
    digest = hashlib.sha256(struct.pack("<II", VERSION, len(table)) + table + body).digest()
    path.write_bytes(MAGIC + struct.pack("<II", VERSION, len(table)) + digest + table + body)


@pytest.mark.parametrize(
    "table",
    (
        b"{", b"7", b"[1]", b"[[1,2]]",
        b'[["a",0,5,5]]', b'[["a",-1,1,1]]', b'[["a",0,1,1e400]]', b"[" * 99999,
        b'[["a",0,0,9999999999]]', b'["abcd"]', b"\xff",
    ),
)  # fmt: skip
def test_hostile_tables(tmp_path, table):
    forge(tmp_path / "f", table, b"1234")
    assert "table is damaged" in complaint(tmp_path / "f")


def test_sections_are_what_they_claim(tmp_path):
    packed = PackedSection.pack(bytes(100))
    for size in (99, 101):
        with pytest.raises(UsageError, match="damaged"):
            PackedSection(packed.data, size).unpack("f")
    with pytest.raises(UsageError, match="damaged"):
        PackedSection(b"not zlib", 8).unpack("f")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write(path, PLAIN)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MissingEnvironmentError, match="No space left"):
        write(path, {"a": b"new"})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["f"]
    with pytest.raises(UsageError, match="No such file"):
        write(tmp_path / "no" / "f", PLAIN)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(facts=json_values, golden=json_values, arrays=st.lists(st.binary(max_size=40), min_size=5, max_size=5))
@settings(max_examples=150)
def test_hostile_contents(tmp_path_factory, profile, facts, golden, arrays):
    """Sound container, odd content: an answer or one clear error."""
    path = tmp_path_factory.mktemp("h") / "f"
    parts = dict(zip(("addresses", "types", "names", "name_starts", "by_name"), arrays, strict=True))
    sections = {f"symbols/{name}": data for name, data in parts.items()}
    for check in registry.names():
        sections[f"golden/{check}"] = json.dumps({"values": golden}).encode()
        sections[f"golden/{check}/content"] = arrays[0]
    good = json.loads(profile.packed["kernel"].unpack("p"))
    merged = good | facts if isinstance(facts, dict) else facts
    for kernel in (merged, good | dict.fromkeys(list(good)[:3], facts), good):
        sections["kernel"] = json.dumps(kernel).encode()
        write(path, {f"{profile.build_id}/{name}": data for name, data in sections.items()})
        try:
            loaded = ProfileFile.load(path).by_build_id(profile.build_id)
            for check in registry.checks():
                with contextlib.suppress(TinyVMIError):
                    loaded.values(check.golden)
            assert len(loaded.symbols) == len(list(loaded.symbols))
            loaded.symbols.nearest(0xFFFFFFFF81000000)
        except TinyVMIError as error:
            assert error.message.startswith(str(path))
