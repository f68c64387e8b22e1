"""function-pointers: the slots of one kernel, and what may stand in each."""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tinyvmi_build.checks.function_pointers.golden import NO_SET, FunctionPointersGolden, PointerRule
from tinyvmi_build.checks.function_pointers.pointer_rules import APIC, RULES, Rule
from tinyvmi_build.checks.lib.code_stores import Written, static_call_updates, stores
from tinyvmi_build.checks.lib.digest_range import PAGE, index_of
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.ro_after_init.copied import copied
from tinyvmi_build.profile.encoding import U16s, U32s

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

KEY = "__SCK__"
#: A built-in function that registers with a tracepoint has its parameters, and a name like these.
_PROBE = re.compile("probe|trace|filter|handle|callback|_hit|follow")
#: What TRACE_EVENT() makes; its own event's are found through the event's class.
_GENERATED = re.compile(r"__traceiter_|__probestub_|__bpf_trace_|perf_trace_|trace_event_|trace_raw_output_")
#: Sections whose memory is the kernel's own as long as it runs; others are freed after boot, or per CPU.
_DATA = re.compile(r"\.data|\.data_nosave|\.vvar|__bug_table|__modver|__param|__init_rodata|\.rodata")


@dataclass
class Allowed:
    """What may stand in a slot besides its compiled value; offsets from _text."""

    values: set[int] = field(default_factory=set)
    null: bool = False
    any_function: bool = False  # any function's entry: nothing better is known
    foreign: bool = False


class Pointers:
    """The slots of one kernel, and what may stand in each."""

    def __init__(self, image: KernelImage):
        self.image = image
        self.text, self.etext = require(image, "_text"), require(image, "_etext")
        self.rodata = require(image, "__start_rodata"), require(image, "__start_ro_after_init")
        if self.text % PAGE:
            raise UnsupportedError("_text is not at the beginning of a page")
        self.discarded = [
            (section.addr, section.addr + section.size)
            for section in image.elf.loaded_sections
            if section.name in (".init.text", ".exit.text")
        ]
        self.functions, self.tables = self._slots()
        self._of_rule: dict[Rule, set[tuple[str, int]]] = {}

    def is_function(self, va: int) -> bool:
        return self.text <= va < self.etext or self._is_discarded(va)

    def _is_discarded(self, va: int) -> bool:
        return any(start <= va < end for start, end in self.discarded)

    def _lasting(self) -> Iterable[tuple[int, int]]:
        """The address ranges that are searched: not what `rodata` compares by digest."""
        for section in self.image.elf.loaded_sections:
            if _DATA.fullmatch(section.name) and not section.nobits:
                start, end = section.addr, section.addr + section.size
                yield max(start, self.rodata[1]) if start <= self.rodata[0] < end else start, end

    def _slots(self) -> tuple[dict[int, int], dict[int, int]]:
        """(slot → function, slot → table of functions), link addresses."""
        r64 = self.image.relocs64
        if not r64:
            raise UnsupportedError("the kernel carries no relocations, so its static pointers are not known")
        holders = [
            va for va in r64 if self.rodata[0] <= va < self.rodata[1] and self.is_function(self.image.u64(va))
        ]
        known: dict[int, bool] = {}
        functions, tables = {}, {}
        for start, end in self._lasting():
            for va in r64[bisect_left(r64, start) : bisect_left(r64, end)]:
                target = self.image.u64(va)
                if self.is_function(target):
                    functions[va] = target
                elif self.rodata[0] <= target < self.rodata[1]:
                    if target not in known:
                        known[target] = self._is_table(target, holders)
                    if known[target]:
                        tables[va] = target
        if any(va % 8 for va in (*functions, *tables)):
            raise UnsupportedError("a static pointer is not aligned to 8 bytes")
        return functions, tables

    def _is_table(self, va: int, holders: list[int]) -> bool:
        """Whether a named constant begins at `va` and holds a pointer to a function."""
        if not self.image.symbols.at(va):
            return False
        at = bisect_left(holders, va)
        return at < len(holders) and holders[at] < self.image.symbols.next_address(va)

    # What may stand there besides.

    def rules(self) -> dict[int, Allowed]:
        """Slot → what is allowed; slots that nothing may change are left out."""
        found: dict[int, Allowed] = {}
        written = stores(self.image, self.functions, self.is_function)
        for va, template in copied(self.image).items():
            if va in self.functions:
                written.setdefault(va, Written()).values |= template.values
        keys = {va: self._symbol(va) for va in self.functions if self._symbol(va).startswith(KEY)}
        for key, update in static_call_updates(self.image, keys, self.is_function).items():
            old = written.setdefault(key, Written())
            old.values |= update.values
            old.register |= update.register
        written |= stores(self.image, self.tables, lambda va: self.rodata[0] <= va < self.rodata[1])
        for va, target in self.functions.items():
            allowed = self._of_function(va, target, keys.get(va, ""), written.get(va))
            if allowed:
                found[va] = allowed
        for va, target in self.tables.items():
            allowed = self._listed(va, target)
            if va in written and not allowed:
                allowed = self._written(written[va], target)
            if allowed:
                found[va] = allowed
        return found

    def _of_function(self, va: int, target: int, key: str, written: Written | None) -> Allowed | None:
        if key.startswith(KEY + "tp_func_"):
            return self._tracepoint(key.removeprefix(KEY + "tp_func_"), target)
        allowed = self._listed(va, target)
        if written:
            if allowed:
                allowed.values |= self._offsets(written.values)
                allowed.null |= 0 in written.values
            else:
                allowed = self._written(written, target)
        if self._is_discarded(target):
            allowed = allowed or Allowed()
            allowed.null = True  # the function's memory was given back after boot
        return allowed

    def _written(self, written: Written, target: int) -> Allowed:
        allowed = Allowed(self._offsets(written.values), 0 in written.values)
        if written.register:
            same = self._same_prototype(target)
            allowed.null = True
            allowed.any_function = not same
            allowed.values |= same
        return allowed

    def _listed(self, va: int, target: int) -> Allowed | None:
        symbol = self._symbol(va)
        rules = [rule for rule in RULES if rule.is_of(symbol)]
        if any(start <= va < end for start, end in self._apic_drivers):
            rules.append(APIC)
        if rules:
            golden = [name.name for name in self.image.symbols.at(target)] or [""]
            rules = [rule for rule in rules if any(rule.replaces(name) for name in golden)]
        if not rules:
            return None
        allowed = Allowed(null=any(r.null for r in rules), foreign=any(r.foreign for r in rules))
        for rule in rules:
            if rule not in self._of_rule:
                self._of_rule[rule] = self._allowed_by(
                    rule, self._constants if va in self.tables else self._named
                )
            found = self._of_rule[rule]
            if rule.typed and (types := self._prototype(target)):
                found = {(name, at) for name, at in found if self._prototypes.get(name, types) == types}
            allowed.values |= {at for _, at in found}
        return allowed

    @staticmethod
    def _allowed_by(rule: Rule, named: list[tuple[str, int]]) -> set[tuple[str, int]]:
        if not rule.values:
            return set()
        text = "\n".join(name for name, _ in named)  # one search over all of them is much the fastest
        matches = {match[0] for match in re.finditer(rf"^(?:{rule.values})$", text, re.MULTILINE)}
        return {(name, at) for name, at in named if name in matches}

    def _tracepoint(self, name: str, target: int) -> Allowed:
        """What a tracepoint with one probe calls (kernel/tracepoint.c): of its event's class, or its type."""
        types = self._prototype(target)
        allowed = Allowed(set(self._probes.get(types[1:], set())) if types else set(), foreign=True)
        stem = name.removesuffix("_new")
        allowed.values |= {at for probe, at in self._untyped_probes if stem in probe}
        event = (
            self.image.symbols.get(f"event_{name}")
            if len(self.image.symbols.all(f"event_{name}")) == 1
            else None
        )
        if event is None:
            return allowed
        btf = self.image.btf
        try:
            event_class = self.image.u64(event + btf.offset("struct trace_event_call", "class"))
            members = [btf.offset("struct trace_event_class", member) for member in ("probe", "perf_probe")]
        except KeyError as why:
            raise UnsupportedError(f"trace events are not described: {why}") from None
        allowed.values |= self._offsets(
            {va for m in members if self.is_function(va := self.image.u64(event_class + m))}
        )
        for symbol in self.image.symbols.at(event_class):
            raw = "__bpf_trace_" + symbol.name.removeprefix("event_class_")
            allowed.values |= {s.address - self.text for s in self.image.symbols.all(raw)}
        return allowed

    def _prototype(self, target: int) -> tuple[int, ...] | None:
        """The type that BTF gives to the function at `target`."""
        for symbol in self.image.symbols.at(target):
            if symbol.name in self._prototypes and symbol.name != "__static_call_return0":
                return self._prototypes[symbol.name]
        return None

    def _same_prototype(self, target: int) -> set[int]:
        """Functions of the type of the one at `target`; none if BTF knows none."""
        types = self._prototype(target)
        return self._by_prototype.get(types, set()) if types else set()

    @cached_property
    def _prototypes(self) -> dict[str, tuple[int, ...]]:
        return self.image.btf.prototypes

    @cached_property
    def _by_prototype(self) -> dict[tuple[int, ...], set[int]]:
        found: dict[tuple[int, ...], set[int]] = {}
        for name, at in self._named:
            types = self._prototypes.get(name)
            if types:
                found.setdefault(types, set()).add(at)
        return found

    @cached_property
    def _probes(self) -> dict[tuple[int, ...], set[int]]:
        """Parameters' types → functions whose names are those of probes."""
        found: dict[tuple[int, ...], set[int]] = {}
        for name, at in self._named:
            types = self._prototypes.get(name)
            if types and _PROBE.search(name):
                found.setdefault(types[1:], set()).add(at)
        return found

    @cached_property
    def _untyped_probes(self) -> list[tuple[str, int]]:
        """Probes that BTF does not know: before 5.16 or so, those that ftrace cannot trace."""
        return [
            (name, at)
            for name, at in self._named
            if name not in self._prototypes and _PROBE.search(name) and not _GENERATED.match(name)
        ]

    @cached_property
    def _named(self) -> list[tuple[str, int]]:
        """(name, offset) of every function that lasts."""
        return [
            (symbol.name, symbol.address - self.text)
            for symbol in self.image.symbols
            if symbol.type in "tTwW" and self.text <= symbol.address < self.etext
        ]

    @cached_property
    def _constants(self) -> list[tuple[str, int]]:
        return [
            (symbol.name, symbol.address - self.text)
            for symbol in self.image.symbols
            if self.rodata[0] <= symbol.address < self.rodata[1]
        ]

    @cached_property
    def _apic_drivers(self) -> list[tuple[int, int]]:
        """Where the structures lie that .apicdrivers points to, and apic_noop."""
        size = self.image.btf.sizeof("struct apic") if self.image.btf.has_type("struct apic") else 0
        drivers = set()
        if self.image.elf.has_section(".apicdrivers"):
            data = self.image.section_bytes(".apicdrivers")
            drivers = {va for (va,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8])}
        noop = self.image.symbols.get("apic_noop")
        return [(va, va + size) for va in sorted(drivers | ({noop} if noop else set()))]

    def _symbol(self, va: int) -> str:
        found = self.image.symbols.nearest(va)
        return found[0] if found else ""

    def _offsets(self, values: Iterable[int]) -> set[int]:
        return {va - self.text for va in values if va}


def golden_values(image: KernelImage) -> FunctionPointersGolden:
    """Of a kernel with relocations: they say which words are pointers."""
    pointers = Pointers(image)
    every = pointers.functions | pointers.tables
    order = {va: i for i, va in enumerate(sorted(every))}
    sets: dict[tuple[int, ...], int] = {}
    rules = []
    for va, allowed in sorted(pointers.rules().items()):
        values = tuple(sorted(allowed.values))
        number = sets.setdefault(values, len(sets)) if values else NO_SET
        flags = allowed.null | allowed.any_function << 1 | allowed.foreign << 2
        rules.append(PointerRule(order[va], number, flags))
    by_page: dict[int, list[int]] = {}
    for va in order:
        by_page.setdefault((va - pointers.text) // PAGE, []).append(va)
    return FunctionPointersGolden(
        va=pointers.text,
        functions=len(pointers.functions),
        tables=len(pointers.tables),
        rules=tuple(rules),
        sets=tuple(sets),
        pages=U32s.of(by_page),
        index=index_of(list(by_page.values())),
        slots=U16s.of((va - pointers.text) % PAGE for va in order),
        targets=U32s.of(every[va] - pointers.text for va in order),
    )
