"""Notes by owner and number, from bytes."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvmi_build.elf.notes import Note, parse_notes
from tinyvmi_build.elf.reader import ElfError
from tinyvmi_build.image import notes


def packed(owner: bytes, kind: int, desc: bytes) -> bytes:
    def pad(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    return struct.pack("<III", len(owner) + 1, len(desc), kind) + pad(owner + b"\0") + pad(desc)


def test_notes_are_distinguished_by_owner_and_number():
    data = packed(b"Xen", 3, struct.pack("<Q", 0xFFFFFFFF80000000)) + packed(b"GNU", 3, b"\1\2\3")
    first, second = parse_notes(data)
    assert notes.xen(first) == ("VIRT_BASE", "0xffffffff80000000")
    assert second == Note("GNU", 3, b"\1\2\3")
    assert notes.xen(second) is None


@pytest.mark.parametrize(
    ("kind", "desc", "text"),
    [
        (6, b"Mini-OS\0", ("GUEST_OS", "Mini-OS")),
        (2, struct.pack("<Q", 0x1000), ("HYPERCALL_PAGE", "0x1000")),
        (13, struct.pack("<QQ", 1, 1), ("L1_MFN_VALID", "0x1 0x1")),
        (99, b"\5\0\0\0", ("type 99", "0x5")),
    ],
)
def test_xens_notes_are_decoded(kind, desc, text):
    assert notes.xen(Note("Xen", kind, desc)) == text


def test_our_note():
    assert notes.tinyvmi(Note("TinyVMI", 1, b'{"abi":1}')) == {"abi": 1}
    assert notes.tinyvmi(Note("TinyVMI", 2, b"{}")) is None
    for bad in (b"{", b"[]", b"\xff"):
        with pytest.raises(ElfError, match="damaged"):
            notes.tinyvmi(Note("TinyVMI", 1, bad))


def test_a_short_note_is_an_error():
    with pytest.raises(ElfError, match="cut short"):
        list(parse_notes(packed(b"Xen", 1, bytes(8))[:-4]))


@given(st.binary(max_size=100))
def test_any_bytes_parse_or_are_refused(data):
    with contextlib.suppress(ElfError):
        assert all(len(note.desc) <= len(data) for note in parse_notes(data))
