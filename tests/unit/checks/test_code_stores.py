"""What instructions say about the values that they write."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest

from tinyvmi_build.checks.lib.code_stores import static_call_updates, stores, taken, written_words

TEXT = 0xFFFFFFFF81000000
INIT = 0xFFFFFFFF83000000
SLOT = 0xFFFFFFFF82A00010
FUNCTION = TEXT + 0x40
KEY = 0xFFFFFFFF82A00100


@dataclass
class Section:
    name: str
    addr: int
    size: int


class Code:
    """A kernel of nothing but code; `relocs32` are where its absolute 32-bit fields are."""

    def __init__(self, text: bytes, relocs: tuple[int, ...] = (), init: bytes = b""):
        self._bytes = {".text": bytes(16) + text + bytes(16), ".init.text": bytes(16) + init + bytes(16)}
        self.relocs32 = [TEXT + 16 + at for at in relocs]
        self.elf = self

    def section(self, name: str) -> Section:
        return Section(name, TEXT if name == ".text" else INIT, len(self._bytes[name]))

    def section_bytes(self, section: Section) -> bytes:
        return self._bytes[section.name]

    def u32(self, va: int) -> int:
        return int(struct.unpack_from("<I", self._bytes[".text"], va - TEXT)[0])


def rip(target: int, end: int, base: int = TEXT) -> bytes:
    """disp32 of an instruction that ends at byte `end` of the code."""
    return struct.pack("<i", target - (base + 16 + end))


def absolute(va: int) -> bytes:
    return struct.pack("<I", va & 0xFFFFFFFF)


def is_function(va: int) -> bool:
    return va == FUNCTION


def test_a_constant_in_an_instruction() -> None:
    code = b"\x48\xc7\x05" + rip(SLOT, 11) + absolute(FUNCTION)
    found = stores(Code(code, (7,)), {SLOT}, is_function)  # type: ignore[arg-type]
    assert found[SLOT].values == {FUNCTION} and not found[SLOT].register
    # The same number without a relocation is no address: something else is written.
    found = stores(Code(code), {SLOT}, is_function)  # type: ignore[arg-type]
    assert not found[SLOT].values and found[SLOT].register


def test_nothing_is_written_where_nobody_reads() -> None:
    code = b"\x48\xc7\x05" + rip(SLOT + 8, 11) + absolute(FUNCTION)
    assert not stores(Code(code, (7,)), {SLOT}, is_function)  # type: ignore[arg-type]


def test_the_init_code_counts() -> None:
    code = b"\x48\xc7\x05" + rip(SLOT, 11, INIT) + bytes(4)
    assert stores(Code(b"", init=code), {SLOT}, is_function)[SLOT].values == {0}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "register", "values"),
    [
        (b"\x48\x89\x05", True, set()),  # mov %rax
        (b"\x4c\x89\x3d", True, set()),  # mov %r15
        (b"\x48\x87\x0d", True, set()),  # xchg %rcx
        (b"\x48\x83\x25", False, {0}),  # andq $0
    ],
)
def test_forms(code: bytes, register: bool, values: set[int]) -> None:
    tail = b"\0" if code == b"\x48\x83\x25" else b""
    full = code + rip(SLOT, 7 + len(tail)) + tail
    found = stores(Code(full), {SLOT}, is_function)[SLOT]  # type: ignore[arg-type]
    assert (found.register, found.values) == (register, values)


def test_a_static_call_is_updated_by_name() -> None:
    third, second, first = b"\x48\xc7\xc2", b"\x48\xc7\xc6", b"\x48\xc7\xc7"
    code = third + absolute(FUNCTION) + second + absolute(TEXT) + first + absolute(KEY)
    found = static_call_updates(Code(code, (3, 10, 17)), {KEY}, is_function)  # type: ignore[arg-type]
    assert found[KEY].values == {FUNCTION} and not found[KEY].register
    # xor %edx, %edx or a register: it is not known what comes there.
    code = b"\x31\xd2" + bytes(5) + second + absolute(TEXT) + first + absolute(KEY)
    found = static_call_updates(Code(code, (10, 17)), {KEY}, is_function)  # type: ignore[arg-type]
    assert not found[KEY].values and found[KEY].register


@pytest.mark.parametrize(
    ("code", "immediate", "size", "values"),
    [
        ("c605", "03", 1, {(3, False)}),  # movb $3
        ("66c705", "0201", 2, {(0x102, False)}),  # movw
        ("c705", "ffffffff", 4, {(0xFFFFFFFF, False)}),  # movl $-1
        ("48c705", "ffffffff", 8, {(2**64 - 1, False)}),  # movq $-1
        ("8805", "", 1, None),  # mov %al
        ("668905", "", 2, None),
        ("8905", "", 4, None),
        ("488905", "", 8, None),
        ("0fb105", "", 4, None),  # cmpxchg
        ("0f9405", "", 1, None),  # sete
        ("0fba2d", "07", 8, None),  # bts $7
        ("830d", "01", 4, None),  # orl $1
        ("480fae05", "", 512, None),  # fxsave
        ("ff05", "", 4, None),  # incl
    ],
)
def test_words(code: str, immediate: str, size: int, values: set[tuple[int, bool]] | None) -> None:
    head, tail = bytes.fromhex(code), bytes.fromhex(immediate)
    full = head + rip(SLOT, len(head) + 4 + len(tail)) + tail
    found = written_words(Code(full), SLOT - 16, SLOT + 16)  # type: ignore[arg-type]
    assert set(found) == {SLOT}
    assert found[SLOT].size == size
    assert found[SLOT].any_value == (values is None)
    assert found[SLOT].values == (values or set())


@pytest.mark.parametrize("code", ["8b05", "3b05", "833d", "813d", "8d05", "480f4405", "ff15", "ff25", "f605"])
def test_what_only_reads_is_no_store(code: str) -> None:
    head = bytes.fromhex(code)
    tail = {"833d": b"\1", "813d": bytes(4), "f605": b"\1"}.get(code, b"")
    full = head + rip(SLOT, len(head) + 4 + len(tail)) + tail
    assert not written_words(Code(full), SLOT - 16, SLOT + 16)  # type: ignore[arg-type]


def test_taken_addresses() -> None:
    code = b"\x48\x8d\x05" + rip(SLOT, 7) + b"\x48\xc7\xc7" + absolute(SLOT + 4)
    assert taken(Code(code, (10,)), SLOT, SLOT + 8) == {SLOT, SLOT + 4}  # type: ignore[arg-type]
    assert not taken(Code(code, (10,)), SLOT + 8, SLOT + 16)  # type: ignore[arg-type]
