"""From a finding to words: what the profile knows about it.

The monitor carries no symbol table; its findings name the object that a check covers.  The profile beside
the image has every symbol: the nearest one to an address, its section, and the functions that pointers
lead to are found here.  What only a check knows is its `evidence`: patch sites, the bytes that should be
there, names in modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.check import FindingKind, pointer_in
from tinyvmi_build.checks.lib.evidence import MASK, Changed, Evidence, Finding, data_span
from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.explain.disassemble import instructions
from tinyvmi_build.profile.golden import GoldenValues, Unsupported

_NEAR = 1 << 20  # further from the symbol below than this is not inside it
G = TypeVar("G", bound=GoldenValues)
Naming = Callable[[int], str]


class Symbols(Protocol):
    def nearest(self, va: int, /) -> tuple[str, int] | None: ...


class Section(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def addr(self) -> int: ...

    @property
    def size(self) -> int: ...


class Kernel(Protocol):
    """The part of a kernel profile that is needed here (profile.profile.KernelProfile)."""

    @property
    def symbols(self) -> Symbols: ...

    @property
    def sections(self) -> Sequence[Section]: ...

    def values(self, kind: type[G], /) -> G | Unsupported: ...

    def blob(self, name: str, /) -> bytes: ...


class Profiles(Protocol):
    """A loaded profile file."""

    def by_build_id(self, build_id: str, /) -> Kernel: ...


@dataclass(frozen=True)
class Explanation:
    """What can be said about a finding; each is empty where the profile knows nothing."""

    symbol: str = ""  # "name+0x10" nearest to the finding's address; where none is near, in its section
    section: str = ""  # of the kernel's file
    site: str = ""  # the kind of site that the kernel patches there, and its size
    expected: str = ""  # where a pointer should lead
    actual: str = ""  # where it leads
    target: str = ""  # the name of what the record's `target` is
    # Of a finding that says which line of a page changed: the bytes that did, hex, and where they begin.
    address: str = ""
    expected_bytes: str = ""
    actual_bytes: str = ""
    beside: tuple[str, ...] = ()  # patch sites in that line: they are compared on their own
    cut: bool = False  # they are a part of an instruction, the rest of which is not known
    # The bytes as instructions, if they are whole ones and capstone is there.
    expected_code: tuple[str, ...] = ()
    actual_code: tuple[str, ...] = ()
    meaning: str = ""  # what such a finding means
    attribution: str = ""  # who could have done it legitimately


class Explainer:
    """Explains findings for the kernel that the monitor's `kernel` record names."""

    def __init__(self, profiles: Profiles | None):
        self._profiles = profiles
        self._kernel: Kernel | None = None
        self._delta = 0
        self._evidence: dict[str, Evidence] = {}  # by check, of the present kernel

    def see(self, body: Mapping[str, Any]) -> None:
        """Take note of a `kernel` record (its build-id and delta); other records are ignored."""
        if body.get("type") != "kernel" or self._profiles is None:
            return
        try:
            self._kernel = self._profiles.by_build_id(body["build_id"])
        except TinyVMIError:
            self._kernel = None
        self._delta = int(body["delta"], 16)
        self._evidence.clear()

    def name(self, address: int) -> str:
        """`symbol+0xOFFSET` for a run-time address; "" if it lies in no symbol that is known."""
        if self._kernel is None:
            return ""
        found = self._kernel.symbols.nearest(self._link(address))
        if found is None or not 0 <= found[1] < _NEAR:
            return ""
        name, offset = found
        return f"{name}+0x{offset:x}" if offset else name

    def finding(self, body: Mapping[str, Any]) -> Explanation:
        """What is known about a `finding` or `notice` record."""
        finding = _finding(body)
        kind = registry.finding_kind(finding.check, finding.kind)
        evidence = self._evidence_of(finding.check)

        def named(address: int) -> str:
            return self.name(address) or (evidence.name(finding, address) if evidence else "")

        changed, names = self._changed(finding, kind, evidence, named)
        address = changed.va if changed else finding.address
        known = Explanation(
            symbol=(evidence.name(finding, address) if evidence else "") or self.name(address),
            section=self._section(address)[0],
            site=evidence.site(finding, address) if evidence else "",
            expected=names[0],
            actual=names[1],
            target=self.name(finding.target) if finding.target else "",
            meaning=kind.meaning,
            attribution=kind.attribution,
        )
        if not known.symbol and known.section:
            known = replace(known, symbol=f"{known.section}+0x{self._section(address)[1]:x}")
        if changed:
            known = replace(
                known,
                address=f"0x{changed.va:016x}",
                expected_bytes=changed.expected.hex(),
                actual_bytes=changed.actual.hex(),
                beside=changed.sites,
                cut=changed.cut,
            )
        if not kind.is_code or _holds_address(finding, kind) or known.cut:
            return known
        sides = (changed.expected, changed.actual) if changed else (finding.expected, finding.actual)
        expected, actual = (instructions(code, address, named) for code in sides)
        return replace(known, expected_code=expected, actual_code=actual)

    def _evidence_of(self, check: str) -> Evidence | None:
        """What the check knows of the present kernel; None without one, or if this tool has no such check."""
        if check not in self._evidence:
            known = registry.find(check)
            if known is None or self._kernel is None:
                return None
            self._evidence[check] = known.evidence(self._kernel, self._delta)
        return self._evidence[check]

    def _link(self, address: int) -> int:
        return (address - self._delta) & MASK

    def _section(self, address: int) -> tuple[str, int]:
        """The section that an address lies in, and how far into it; ("", 0): in none."""
        link_va = self._link(address)
        for section in self._kernel.sections if self._kernel else ():
            if section.addr <= link_va < section.addr + section.size:
                return section.name, link_va - section.addr
        return "", 0

    def _changed(
        self, finding: Finding, kind: FindingKind, evidence: Evidence | None, named: Naming
    ) -> tuple[Changed | None, tuple[str, str]]:
        """What differs in a line that the monitor knows by its digest alone; where both sides lead."""
        if _holds_address(finding, kind):
            address_in = kind.address_in or pointer_in
            sides = address_in(finding.expected), address_in(finding.actual)
            return None, (self._named(sides[0]), self._named(sides[1]))
        if not kind.by_digest or finding.expected or evidence is None:
            return None, ("", "")
        if kind.is_code:
            return evidence.code_change(finding), ("", "")
        wanted = evidence.wanted_data(finding)
        return _data_change(finding, wanted, named) if wanted else (None, ("", ""))

    def _named(self, address: int | None) -> str:
        return "" if address is None else self.name(address)


def _data_change(finding: Finding, wanted: bytes, named: Naming) -> tuple[Changed | None, tuple[str, str]]:
    """What differs in a line of data; a pointer is shown, and named, as a whole."""
    at, actual = finding.address, finding.actual
    changed = data_span(at, wanted, actual)
    if changed is None:
        return None, ("", "")
    word = changed.va & ~7
    found, pointer = actual[word - at :][:8], wanted[word - at :][:8]
    if changed.va + len(changed.actual) <= word + 8 and (name := _pointed(pointer, named)):
        return Changed(word, pointer, found), (name, _pointed(found, named))
    return changed, ("", "")


def _pointed(raw: bytes, named: Naming) -> str:
    """What a pointer as in memory leads to."""
    address = pointer_in(raw)
    return "" if address is None else named(address)


def _finding(body: Mapping[str, Any]) -> Finding:
    """A record's fields."""
    return Finding(
        check=body["check"],
        kind=body["kind"],
        symbol=body["symbol"],
        offset=body["offset"],
        address=int(body["address"], 16),
        expected=bytes.fromhex(body["expected"]),
        actual=bytes.fromhex(body["actual"]),
        target=int(body["target"], 16) if body.get("target") else None,
    )


def _holds_address(finding: Finding, kind: FindingKind) -> bool:
    """Whether the bytes of a finding are an address: by its kind, or because it leads to its target."""
    if kind.address_in:
        return True
    found = pointer_in(finding.actual)
    return found is not None and finding.target is not None and finding.target in (found, found & ~1)
