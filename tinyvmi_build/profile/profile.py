"""Profiles in memory: what a file of them says about each kernel.

Reads with the standard library alone and unpacks nothing before it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.symbols import SymbolTable
from tinyvmi_build.profile.container import PackedSection, read_container, write_container
from tinyvmi_build.profile.discovery import Discovery
from tinyvmi_build.profile.encoding import DecodeError, decode
from tinyvmi_build.profile.golden import GoldenValues, Unsupported

T = TypeVar("T")
G = TypeVar("G", bound=GoldenValues)
_SYMBOL_PARTS = ("addresses", "types", "names", "name_starts", "by_name")


@dataclass(frozen=True)
class SectionFacts:
    """A loaded ELF section: link address, bytes, SHA-256 of its bytes in the file (hex; None for .bss)."""

    name: str
    addr: int
    size: int
    sha256: str | None


@dataclass(frozen=True)
class KernelFacts:
    """What is known of one kernel.  Addresses are link addresses, sizes are in bytes.

    build_id        hex, the GNU build-id
    release         as uname -r
    banner          linux_banner, without its newline
    source          name of the package file it came from
    compression     of the package's payload
    text_va         _text
    physical_start  where the file asks to be loaded (0x1000000)
    image_size      _text to _end, contiguous in physical memory
    build_id_va     the descriptor of the build-id note
    counts          how many "symbols", "relocs64", "relocs32", "inverse32", "btf_types"
    """

    build_id: str
    release: str
    banner: str
    source: str
    compression: str
    text_va: int
    physical_start: int
    image_size: int
    build_id_va: int
    counts: dict[str, int]
    sections: tuple[SectionFacts, ...]


class KernelProfile:
    """One kernel's facts and golden values; nothing is unpacked before it is asked for."""

    def __init__(self, sections: Mapping[str, PackedSection], where: str):
        self.packed = dict(sections)
        self.where = where
        self._golden: dict[str, GoldenValues | Unsupported] = {}
        self.facts = self._decoded(KernelFacts, "kernel", self._json("kernel"))
        self.build_id = self.facts.build_id
        self.release = self.facts.release
        self.banner = self.facts.banner
        self.source = self.facts.source
        self.compression = self.facts.compression
        self.text_va = self.facts.text_va
        self.physical_start = self.facts.physical_start
        self.image_size = self.facts.image_size
        self.build_id_va = self.facts.build_id_va
        self.counts = self.facts.counts
        self.sections = self.facts.sections

    def named(self, source: str) -> KernelProfile:
        """The same profile of a kernel whose file is called `source`."""
        if source == self.source:
            return self
        facts = self._json("kernel") | {"source": source}
        packed = PackedSection.pack(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii"))
        return KernelProfile(self.packed | {"kernel": packed}, self.where)

    def _bytes(self, name: str) -> bytes:
        try:
            section = self.packed[name]
        except KeyError:
            raise UsageError(
                f"{self.where}: the profile has no {name}", hint="build the profile again"
            ) from None
        return section.unpack(self.where)

    def _json(self, name: str) -> dict[str, object]:
        try:
            value = json.loads(self._bytes(name))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UsageError(f"{self.where}: the profile's {name} is damaged", hint="build the profile again")
        return value

    def _decoded(self, kind: type[T], name: str, stored: object) -> T:
        """A dataclass from section `name`, with its blobs in the sections below that name."""
        try:
            return decode(kind, stored, lambda path: lambda: self._bytes(f"{name}/{path}"))
        except DecodeError as error:
            raise UsageError(
                f"{self.where}: the profile's {name} is damaged: {error.message}", hint=error.hint
            ) from None

    @cached_property
    def symbols(self) -> SymbolTable:
        """The kernel's symbols; they stay packed."""
        parts = {part: self._bytes(f"symbols/{part}") for part in _SYMBOL_PARTS}
        return SymbolTable.from_packed(parts, self.where)

    @cached_property
    def discovery(self) -> Discovery:
        """By what the kernel is found in memory."""
        return self._decoded(Discovery, "discovery", self._json("discovery"))

    @property
    def checks(self) -> list[str]:
        """The names of the checks that the profile has an answer for."""
        parts = (name.split("/") for name in self.packed)
        return sorted(part[1] for part in parts if part[0] == "golden" and len(part) == 2)

    def stored_golden(self, check: str) -> dict[str, object]:
        """A check's golden values as they are stored: {"values": …} or {"unsupported": reason}."""
        if f"golden/{check}" not in self.packed:
            return {"unsupported": "the profile was made by a tool without this check"}
        return self._json(f"golden/{check}")

    def golden_size(self, check: str) -> int:
        """Bytes of a check's golden values, its tables included, before they are packed."""
        own = f"golden/{check}"
        return sum(s.size for name, s in self.packed.items() if name == own or name.startswith(f"{own}/"))

    def unsupported(self, check: str) -> str:
        """Why the check cannot verify this kernel; "" if it can."""
        return str(self.stored_golden(check).get("unsupported", ""))

    def values(self, kind: type[G]) -> G | Unsupported:
        """The golden values of the check whose dataclass is `kind`, or why there are none."""
        known = self._golden.get(kind.CHECK)
        if known is None:
            stored = self.stored_golden(kind.CHECK)
            if "values" in stored:
                known = self._decoded(kind, f"golden/{kind.CHECK}", stored["values"])
            else:
                known = Unsupported(str(stored.get("unsupported", "")))
            self._golden[kind.CHECK] = known
        assert isinstance(known, kind | Unsupported)
        return known

    def golden(self, kind: type[G]) -> G:
        """The golden values of the check whose dataclass is `kind`; UnsupportedError if there are none."""
        found = self.values(kind)
        if isinstance(found, Unsupported):
            raise UnsupportedError(found.reason)
        return found

    def with_sections(self, sections: Mapping[str, bytes]) -> KernelProfile:
        """This profile with some sections replaced or added."""
        packed = {name: PackedSection.pack(data) for name, data in sections.items()}
        return KernelProfile(self.packed | packed, self.where)

    @property
    def blobs(self) -> list[str]:
        """Names of the binary sections that belong to no check."""
        return sorted(name.removeprefix("blob/") for name in self.packed if name.startswith("blob/"))

    def blob(self, name: str) -> bytes:
        """A binary section: "btf"; "relocs64", "relocs32", "inverse32" (u64 each); "modules/NAME"."""
        return self._bytes(f"blob/{name}")

    def section(self, name: str) -> SectionFacts:
        """The ELF section `name`; UsageError if there is none."""
        for section in self.sections:
            if section.name == name:
                return section
        raise UsageError(f"{self.where}: the kernel has no section {name}")


class ProfileFile:
    """The profiles of one or more kernels, in the order of their build-ids."""

    def __init__(self, kernels: Iterable[KernelProfile], where: str = "profile"):
        by_id: dict[str, KernelProfile] = {}
        for kernel in kernels:
            by_id.setdefault(kernel.build_id, kernel)
        self.kernels = [by_id[build_id] for build_id in sorted(by_id)]
        self.where = where

    @classmethod
    def load(cls, path: Path) -> ProfileFile:
        """From `path`; UsageError if it is no sound profile or holds no kernel."""
        groups: dict[str, dict[str, PackedSection]] = {}
        for name, section in read_container(path).items():
            build_id, _, part = name.partition("/")
            groups.setdefault(build_id, {})[part] = section
        if not groups:
            raise UsageError(f"{path}: the profile holds no kernel", hint="build the profile again")
        kernels = [KernelProfile(parts, str(path)) for parts in groups.values()]
        if [k.build_id for k in kernels] != list(groups):
            raise UsageError(f"{path}: the profile mixes up its kernels", hint="build the profile again")
        return cls(kernels, str(path))

    def save(self, path: Path) -> None:
        """Write to `path` at once or not at all."""
        write_container(
            path,
            {f"{k.build_id}/{part}": section for k in self.kernels for part, section in k.packed.items()},
        )

    def by_build_id(self, build_id: str) -> KernelProfile:
        """The kernel `build_id` (hex); UsageError naming those that are there."""
        return self._one(lambda k: k.build_id == build_id, f"build-id {build_id}")

    def by_release(self, release: str) -> KernelProfile:
        """The kernel `release`; UsageError naming those that are there."""
        return self._one(lambda k: k.release == release, f"release {release}")

    def _one(self, match: Callable[[KernelProfile], bool], what: str) -> KernelProfile:
        for kernel in self.kernels:
            if match(kernel):
                return kernel
        known = ", ".join(f"{k.release} ({k.build_id[:12]})" for k in self.kernels)
        raise UsageError(f"{self.where}: no kernel with {what}; it holds {known}")
