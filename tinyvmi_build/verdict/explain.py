"""Names for addresses: what the profile knows about a finding.

The monitor carries no symbol table; its findings name the object that a check
covers.  The profile beside the image has every symbol, so the nearest one to
an address, and the functions that a pointer should and does lead to, are
worked out here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import TinyVMIError
from ..profile.relocated import rodata_at
from .disassemble import instructions, is_code, meaning

_MASK = (1 << 64) - 1
_NEAR = 1 << 20  # further from the symbol below than this is not inside it


class Symbols(Protocol):
    def nearest(self, va: int, /) -> tuple[str, int] | None: ...


class Kernel(Protocol):
    """The part of a kernel profile that is needed here (profile.profile.KernelProfile)."""

    @property
    def symbols(self) -> Symbols: ...

    @property
    def golden(self) -> dict[str, Any]: ...

    def blob(self, name: str, /) -> bytes: ...


class Profiles(Protocol):
    """A loaded profile file."""

    def by_build_id(self, build_id: str, /) -> Kernel: ...


@dataclass(frozen=True)
class Explanation:
    """What can be said about a finding; each is "" where the profile knows nothing."""

    symbol: str = ""  # "name+0x10" nearest to the finding's address
    expected: str = ""  # where a pointer should lead
    actual: str = ""  # where it leads
    # Of a finding that says which line of a page changed: the bytes that did, hex, and where they begin.
    address: str = ""
    expected_bytes: str = ""
    actual_bytes: str = ""
    # The bytes as instructions, if they are code and capstone is there.
    expected_code: tuple[str, ...] = ()
    actual_code: tuple[str, ...] = ()
    meaning: str = ""  # what such a finding means, and who could have done it legitimately


class Explainer:
    """Explains findings for the kernel that the monitor's `kernel` record names."""

    def __init__(self, profiles: Profiles | None):
        self._profiles = profiles
        self._kernel: Kernel | None = None
        self._delta = 0

    def see(self, body: dict[str, Any]) -> None:
        """Take note of a `kernel` record (its build-id and delta); other records are ignored."""
        if body.get("t") != "kernel" or self._profiles is None:
            return
        try:
            self._kernel = self._profiles.by_build_id(body["build_id"])
        except TinyVMIError:
            self._kernel = None
        self._delta = int(body["delta"], 16)

    def name(self, address: int) -> str:
        """`symbol+0xOFFSET` for a run-time address; "" if it lies in no symbol that is known."""
        if self._kernel is None:
            return ""
        found = self._kernel.symbols.nearest((address - self._delta) & _MASK)
        if found is None or not 0 <= found[1] < _NEAR:
            return ""
        name, offset = found
        return f"{name}+0x{offset:x}" if offset else name

    def finding(self, body: dict[str, Any]) -> Explanation:
        """What is known about a `finding` record."""
        known, kind = self._place(body), (body["check"], body["kind"])
        if body["check"] == "modules":
            known = replace(known, symbol=self._in_module(body["symbol"], body["offset"]) or known.symbol)
        code: list[tuple[str, ...]] = [(), ()]
        if is_code(*kind):
            address = int(body["address"], 16)
            code = [instructions(bytes.fromhex(body[s]), address, self.name) for s in ("expected", "actual")]
        return replace(known, expected_code=code[0], actual_code=code[1], meaning=meaning(*kind))

    def _in_module(self, module: str, offset: int) -> str:
        """`module:function+0xOFFSET`; "" if the profile has no tables of the module, or it is no code."""
        from ..golden.modules.packed import nearest, unpacked

        if self._kernel is None or module not in self._kernel.golden.get("modules", {}).get("list", ()):
            return ""
        golden, tables = unpacked(self._kernel.blob(f"modules/{module}"))
        if offset >= golden["sizes"]["TEXT"]:
            return ""
        found = nearest(tables, offset)
        return f"{module}:{found[0]}+0x{found[1]:x}" if found else ""

    def _place(self, body: dict[str, Any]) -> Explanation:
        """Where it is, and what pointers and lines of data there should be."""
        expected = actual = ""
        if body["kind"] == "pointer":
            expected, actual = self._pointer(body["expected"]), self._pointer(body["actual"])
        if body["kind"] == "bytes" and not body["expected"]:
            return self._changed_bytes(int(body["address"], 16), bytes.fromhex(body["actual"]))
        return Explanation(self.name(int(body["address"], 16)), expected, actual)

    def _changed_bytes(self, address: int, actual: bytes) -> Explanation:
        """What differs in a line of read-only data that the monitor knows by its digest alone."""
        link_va = (address - self._delta) & _MASK
        wanted = rodata_at(self._kernel, link_va, len(actual), self._delta) if self._kernel else None
        if wanted is None or wanted == actual:
            return Explanation(self.name(address))
        changed = [i for i in range(len(actual)) if wanted[i] != actual[i]]
        first, end = changed[0], changed[-1] + 1
        word = first & ~7
        whole = wanted[word : word + 8]
        if end <= word + 8 and len(whole) == 8 and self._pointer(whole.hex()):
            first, end = word, word + 8  # a pointer: shown, and named, as a whole
            names = self._pointer(whole.hex()), self._pointer(actual[word:end].hex())
        else:
            names = "", ""
        return Explanation(
            self.name(address + first),
            *names,
            address=f"0x{address + first:016x}",
            expected_bytes=wanted[first:end].hex(),
            actual_bytes=actual[first:end].hex(),
        )

    def _pointer(self, text: str) -> str:
        raw = bytes.fromhex(text)  # as in memory: little-endian
        return self.name(int.from_bytes(raw, "little")) if len(raw) == 8 else ""
