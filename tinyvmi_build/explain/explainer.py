"""Names for addresses: what the profile knows about a finding.

The monitor carries no symbol table; its findings name the object that a check
covers.  The profile beside the image has every symbol, so the nearest one to
an address, its section, the patched place there, the bytes that should be
there, and the functions that pointers lead to, are worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.explain.disassemble import instructions
from tinyvmi_build.explain.meanings import meaning
from tinyvmi_build.explain.recover import Changed, code_change, data_span, wanted_data

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.patch_sites import Place, Places
    from tinyvmi_build.explain.recover_modules import LoadedModule

_MASK = (1 << 64) - 1
_MODULES = 16  # kept unpacked
_NEAR = 1 << 20  # further from the symbol below than this is not inside it


class Symbols(Protocol):
    def nearest(self, va: int, /) -> tuple[str, int] | None: ...


class Kernel(Protocol):
    """The part of a kernel profile that is needed here (profile.profile.KernelProfile)."""

    @property
    def symbols(self) -> Symbols: ...

    @property
    def golden(self) -> dict[str, Any]: ...

    @property
    def sections(self) -> list[Any]: ...

    def blob(self, name: str, /) -> bytes: ...


class Profiles(Protocol):
    """A loaded profile file."""

    def by_build_id(self, build_id: str, /) -> Kernel: ...


@dataclass(frozen=True)
class Explanation:
    """What can be said about a finding; each is empty where the profile knows nothing."""

    symbol: str = ""  # "name+0x10" nearest to the finding's address; where none is near, in its section
    section: str = ""  # of the kernel's file
    site: str = ""  # the kind of place that the kernel patches there, and its size
    expected: str = ""  # where a pointer should lead
    actual: str = ""  # where it leads
    target: str = ""  # the name of what the record's `target` is
    # Of a finding that says which line of a page changed: the bytes that did, hex, and where they begin.
    address: str = ""
    expected_bytes: str = ""
    actual_bytes: str = ""
    beside: tuple[str, ...] = ()  # patched places in that line: judged on their own
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
        self._places_for: Kernel | None = None  # whose places are known
        self._known_places: Places | None = None
        self._modules: dict[tuple[str, int], LoadedModule] = {}  # by name and where its code begins

    def see(self, body: dict[str, Any]) -> None:
        """Take note of a `kernel` record (its build-id and delta); other records are ignored."""
        if body.get("type") != "kernel" or self._profiles is None:
            return
        try:
            self._kernel = self._profiles.by_build_id(body["build_id"])
        except TinyVMIError:
            self._kernel = None
        self._delta = int(body["delta"], 16)
        self._modules.clear()

    def name(self, address: int) -> str:
        """`symbol+0xOFFSET` for a run-time address; "" if it lies in no symbol that is known."""
        if self._kernel is None:
            return ""
        found = self._kernel.symbols.nearest(self._link(address))
        if found is None or not 0 <= found[1] < _NEAR:
            return ""
        name, offset = found
        return f"{name}+0x{offset:x}" if offset else name

    def finding(self, body: dict[str, Any]) -> Explanation:
        """What is known about a `finding` or `notice` record."""
        known = self._place(body)
        if module := self._module(body):
            at = int(known.address or body["address"], 16)
            known = replace(known, symbol=module.name(at) or known.symbol)
        named = self._naming(module)
        kind = meaning(body["check"], body["kind"])
        known = replace(known, meaning=kind.meaning, attribution=kind.attribution)
        if not kind.is_code or _is_pointer(body) or known.cut:
            return known
        address = int(known.address or body["address"], 16)
        code = [
            instructions(bytes.fromhex(own or body[side]), address, named)
            for side, own in (("expected", known.expected_bytes), ("actual", known.actual_bytes))
        ]
        return replace(known, expected_code=code[0], actual_code=code[1])

    def _link(self, address: int) -> int:
        return (address - self._delta) & _MASK

    def _module(self, body: dict[str, Any]) -> LoadedModule | None:
        """The module that a finding of `modules` is about; None if the profile has no tables of it."""
        name = body["symbol"]
        if body["check"] != "modules" or self._kernel is None:
            return None
        if name not in self._kernel.golden.get("modules", {}).get("list", ()):
            return None
        from tinyvmi_build.explain.recover_modules import LoadedModule

        text = int(body["address"], 16) - body["offset"] & _MASK  # offsets count from its code, all of them
        if (name, text) not in self._modules:
            if len(self._modules) >= _MODULES:
                self._modules.clear()
            self._modules[name, text] = LoadedModule(self._kernel, name, text, self._delta)
        return self._modules[name, text]

    def _naming(self, module: LoadedModule | None) -> Callable[[int], str]:
        """Names of the kernel and of the module."""
        return lambda va: self.name(va) or (module.name(va) if module else "")

    def _place(self, body: dict[str, Any]) -> Explanation:
        """Where it is, what should be there, and where pointers lead."""
        address = int(body["address"], 16)
        known = self._changed(body, address) or Explanation(self.name(address))
        at = self._link(int(known.address or body["address"], 16))
        site = self._site(body["check"], at)
        section, offset = self._section(at)
        known = replace(
            known,
            symbol=known.symbol or (f"{section}+0x{offset:x}" if section else ""),
            section=section,
            site=f"{site.name}, {site.size} bytes" if site else "",
        )
        if _is_pointer(body):
            known = replace(
                known, expected=self._pointer(body["expected"]), actual=self._pointer(body["actual"])
            )
        elif body["kind"] == "gate":
            known = replace(known, expected=self._gate(body["expected"]), actual=self._gate(body["actual"]))
        if body.get("target"):
            known = replace(known, target=self.name(int(body["target"], 16)))
        return known

    def _section(self, link_va: int) -> tuple[str, int]:
        for section in getattr(self._kernel, "sections", ()):
            if section.addr <= link_va < section.addr + section.size:
                return str(section.name), link_va - section.addr
        return "", 0

    def _places(self) -> Places | None:
        if self._kernel is not self._places_for and self._kernel is not None:
            self._places_for, self._known_places = self._kernel, _places_of(self._kernel)
        return self._known_places

    def _site(self, check: str, link_va: int) -> Place | None:
        places = self._places() if check == "text" else None
        return places.at(link_va) if places else None

    def _changed(self, body: dict[str, Any], address: int) -> Explanation | None:
        """What differs in a line that the monitor knows by its digest alone."""
        if body["expected"] or self._kernel is None:
            return None
        module, actual = self._module(body), bytes.fromhex(body["actual"])
        if body["kind"] == "bytes":
            if module:
                wanted = module.wanted_data(address, actual)
            else:
                wanted = wanted_data(self._kernel, self._link(address), actual, self._delta)
            return self._data_told(address, wanted, actual, self._naming(module)) if wanted else None
        if body["kind"] != "text-bytes":
            return None
        if module:
            changed = module.code_change(address, actual)
        elif places := self._places():
            link_va = self._link(address)
            near = places.within(link_va, link_va + len(actual))
            changed = code_change(self._kernel, near, places.function_of, link_va, actual, self._delta)
            changed = replace(changed, va=changed.va + self._delta & _MASK) if changed else None
        else:
            return None
        return self._told(changed) if changed else None

    def _data_told(
        self, address: int, wanted: bytes, actual: bytes, named: Callable[[int], str]
    ) -> Explanation | None:
        """Of a line of data at `address`; a pointer is shown, and named, as a whole."""
        changed = data_span(address, wanted, actual)
        if changed is None:
            return None
        word = changed.va & ~7
        found, pointer = actual[word - address :][:8], wanted[word - address :][:8]
        if changed.va + len(changed.actual) <= word + 8 and (name := _pointed(pointer, named)):
            return self._told(Changed(word, pointer, found), (name, _pointed(found, named)))
        return self._told(changed)

    def _told(self, changed: Changed, names: tuple[str, str] = ("", "")) -> Explanation:
        return Explanation(
            self.name(changed.va),
            expected=names[0],
            actual=names[1],
            address=f"0x{changed.va:016x}",
            expected_bytes=changed.expected.hex(),
            actual_bytes=changed.actual.hex(),
            beside=changed.places,
            cut=changed.cut,
        )

    def _pointer(self, text: str) -> str:
        return _pointed(bytes.fromhex(text), self.name)

    def _gate(self, text: str) -> str:
        """The handler of a gate (struct gate_struct, asm/desc_defs.h)."""
        raw = bytes.fromhex(text)
        if len(raw) != 16:
            return ""
        return self.name(int.from_bytes(raw[:2] + raw[6:12], "little"))


def _pointed(raw: bytes, named: Callable[[int], str]) -> str:
    """What a pointer as in memory, little-endian, leads to."""
    return named(int.from_bytes(raw, "little")) if len(raw) == 8 else ""


def _places_of(kernel: Kernel) -> Places | None:
    if "va" not in getattr(kernel, "golden", {}).get("text", {}):
        return None
    from tinyvmi_build.checks.text.patch_sites import Places

    return Places(kernel)


def _is_pointer(body: dict[str, Any]) -> bool:
    """Whether the bytes of a finding are an address: by its kind, or because it leads to its target."""
    if body["kind"] == "pointer":
        return True
    raw = bytes.fromhex(body["actual"])
    return (
        len(raw) == 8
        and body.get("target") == f"0x{int.from_bytes(raw, 'little') & ~1:016x}"
        or (len(raw) == 8 and body.get("target") == f"0x{int.from_bytes(raw, 'little'):016x}")
    )
