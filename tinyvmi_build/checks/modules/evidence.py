"""The bytes that a changed line of a module's code or read-only data must have, read back from the profile.

The profile has the module as linked at link addresses, and what each value in it counts from.  A finding
says where the module's code begins, so what counts from there, or from the kernel, is exact.  What
counts from memory whose address no record has, is taken as it stands, and nothing else is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tinyvmi_build.checks.lib.digest_range import BIAS, PAGE
from tinyvmi_build.checks.lib.evidence import (
    MASK,
    Changed,
    Evidence,
    Finding,
    Line,
    Profile,
    in_instructions,
    without_sites,
)
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import ABSOLUTE, KERNEL, SIZES, Field
from tinyvmi_build.checks.modules.module import load_module
from tinyvmi_build.checks.modules.pages import entries
from tinyvmi_build.checks.text.calls import calls_of, padded
from tinyvmi_build.checks.text.golden import ADD32, REL, SUB32, TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSites
from tinyvmi_build.profile.golden import Unsupported

_TOP = 0xFFFFFFFF80000000  # kernel and modules lie above
_CALL = 5  # bytes


class Value(NamedTuple):
    """A value that counts from memory of unknown address: offset in the window, link value."""

    at: int
    field: Field
    region: int
    linked: int


@dataclass
class Window:
    """A page as it must be with eight bytes on either side, from running address `va` - 8 on.

    Of the bytes beside it only what a value of the page reaches into is right.
    """

    va: int
    data: bytearray
    unknown: list[Value]
    own: int  # how far it stands from its link address

    def line(self, at: int, size: int) -> bytearray:
        """`size` bytes at running address `at`."""
        first = at - self.va + BIAS
        return self.data[first : first + size]


def _differing(one: bytes | bytearray, other: bytes | bytearray) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


class LoadedModule:
    """The module `name` of a kernel that runs `delta` above its link address; its code is at `text`.

    Addresses are running ones.
    """

    def __init__(self, kernel: Profile, name: str, text: int, delta: int):
        kernel_text, modules = kernel.values(TextGolden), kernel.values(ModulesGolden)
        assert not isinstance(kernel_text, Unsupported) and not isinstance(modules, Unsupported)
        self._module = load_module(kernel, name)
        self._name, self._text, self._delta = name, text, delta
        self._kernel_text = kernel_text
        self._split = modules.split is not None
        self._size = self._module.sizes[Area.TEXT]

    def name(self, address: int) -> str:
        """`module:function+0xOFFSET`; "" outside of its code."""
        offset = address - self._text
        found = self._module.function_at(offset) if 0 <= offset < self._size else None
        return f"{self._name}:{found[0]}+0x{found[1]:x}" if found else ""

    # What both areas have in common

    def _link(self, area: Area) -> int:
        return self._kernel_text.va + self._module.starts[area]

    def _moved(self, field: Field, region: int, own: int, rodata: int | None) -> int | None:
        """What is added to a link value; None: not known.  `own`: how far what holds it moved."""
        back = own if field in (Field.PC32, Field.PC64) else 0
        if region in (KERNEL, ABSOLUTE):
            return (self._delta if region == KERNEL else 0) - back
        where = self._module.regions[region - 2]
        bases = {Area.TEXT: self._text, Area.RODATA: rodata}
        base = bases.get(Area(where.area)) if where.module == 0 else None
        return None if base is None else base - (self._kernel_text.va + where.start) - back

    def _window(self, area: Area, base: int, page: int, entry: int, content: bytes) -> Window:
        """Page `page` of `area`, which begins at `base` and has `content`; its values are number `entry`."""
        tables = self._module.text if area == Area.TEXT else self._module.rodata
        first_group, last_group = tables.reloc_index.values[entry : entry + 2]
        first = page * PAGE - BIAS
        data = bytearray(max(-first, 0)) + content[max(first, 0) : first + PAGE + 2 * BIAS]
        data += bytes(PAGE + 2 * BIAS - len(data))
        own = base - self._link(area)
        window = Window(base + page * PAGE, data, [], own)
        rodata = base if area == Area.RODATA else None
        for number, at in entries(tables.relocs.data[first_group:last_group]):
            field, region = Field(self._module.classes[number][0]), self._module.classes[number][1]
            size = SIZES[field]
            value = int.from_bytes(data[at : at + size], "little")
            moved = self._moved(field, region, own, rodata)
            if moved is None:
                window.unknown.append(Value(at, field, region, value))
            else:
                data[at : at + size] = (value + moved & (1 << 8 * size) - 1).to_bytes(size, "little")
        return window

    # Code

    def code_change(self, va: int, actual: bytes) -> Changed | None:
        """What differs in a line of code, in whole instructions; None if that is not known."""
        at = va - self._text
        if not self._module.content.data or not 0 <= at <= at + len(actual) <= self._size:
            return None
        if at // PAGE != (at + len(actual) - 1) // PAGE:
            return None
        sites = self._sites.within(va, va + len(actual))
        plain = self._page(at // PAGE)
        # Call depth tracking is in all of the code or nowhere: what fits better.
        found = []
        for window in (plain, self._tracked(plain, va, actual)):
            made = window.line(va, len(actual))
            line = bytearray(made)
            _as_it_is(window, line, va, actual)
            line = without_sites(va, line, actual, sites)
            found.append((line, made))
        wanted, made = min(found, key=lambda both: _differing(both[0], actual))

        def code(at: int, size: int) -> bytes:
            """As in the file, but for the accounting in this line: another instruction than the padding."""
            data = bytearray(self._in_file(at, size))
            for i in range(max(at, va), min(at + len(data), va + len(made))):
                data[i - at] = made[i - va]
            return bytes(data)

        changed = Line(va, bytes(wanted), actual, sites)
        return in_instructions(changed, self._sites.function_of, code, self._beside)

    @cached_property
    def _sites(self) -> PatchSites:
        return PatchSites(self._module.as_text(self._kernel_text, self._text))

    def _page(self, page: int) -> Window:
        return self._window(Area.TEXT, self._text, page, page, self._module.content.data)

    def _in_file(self, va: int, size: int) -> bytes:
        at = max(va - self._text, 0)
        return self._module.content.data[at : at + size]

    def _beside(self, va: int, size: int) -> bytes | None:
        """What must stand at `va`; None where a part of it can be one thing or another."""
        at = va - self._text
        if not 0 <= at <= at + size <= self._size or self._sites.within(va, va + size):
            return None
        window = self._page(at // PAGE)
        first = va - window.va + BIAS
        open_ends = [(value.at, SIZES[value.field]) for value in window.unknown]
        open_ends += [(call + BIAS, _CALL) for call in calls_of(self._module.code, at // PAGE)]
        if any(a < first + size and a + n > first for a, n in open_ends) or first + size > PAGE + BIAS:
            return None
        return bytes(window.line(va, size))

    def _tracked(self, plain: Window, va: int, actual: bytes) -> Window:
        """`plain` as call depth tracking makes it; before a function what fits `actual` at `va` better."""
        window = Window(plain.va, bytearray(plain.data), plain.unknown, plain.own)
        data = window.data
        size = len(self._kernel_text.call_pad.code)
        if not size:
            return window
        page, unknown = (plain.va - self._text) // PAGE, {value.at for value in plain.unknown}
        for at in (offset + BIAS for offset in calls_of(self._module.code, page)):
            if at >= 0 and at + _CALL <= len(data) and at + 1 not in unknown:
                old = int.from_bytes(data[at + 1 : at + _CALL], "little")
                data[at + 1 : at + _CALL] = (old - size & 0xFFFFFFFF).to_bytes(4, "little")
        for at in (offset - size + BIAS for offset in padded(self._module.code, page)):
            if at < 0 or at + size > len(data):
                continue
            before = _differing(window.line(va, len(actual)), actual)
            padding = data[at : at + size]
            data[at : at + size] = self._accounting(window.va + at - BIAS)
            if _differing(window.line(va, len(actual)), actual) > before:
                data[at : at + size] = padding
        return window

    def _accounting(self, va: int) -> bytes:
        """What the kernel puts at `va`, before a function (`fix()` of minios_app/checks/text/sites.c)."""
        code = bytearray(self._kernel_text.call_pad.code)
        here = va - (self._kernel_text.va + self._delta)
        for offset, kind, argument in self._kernel_text.call_pad.fixes:
            value = int.from_bytes(code[offset : offset + 4], "little")
            moved = {REL: argument - here - offset, ADD32: value + self._delta, SUB32: value - self._delta}
            code[offset : offset + 4] = (moved[kind] & 0xFFFFFFFF).to_bytes(4, "little")
        return bytes(code)

    # Read-only data

    def wanted_data(self, va: int, actual: bytes) -> bytes | None:
        """What should stand at `va` for `actual`; None if that is not known.

        Sorted tables stand in one of two orders, and since Linux 6.4 no record says where the module's
        read-only data begins: the order, and the page, are those that fit clearly best.
        """
        if not self._module.pages.data or va % PAGE + len(actual) > PAGE:
            return None
        count = self._module.sizes[Area.RODATA] // PAGE
        base = self._text + self._link(Area.RODATA) - self._link(Area.TEXT)
        pages = range(count) if self._split else [(va - base) // PAGE]
        fits: dict[bytes, int] = {}
        for page in pages:
            if not 0 <= page < count:
                return None
            for order, content in self._orders:
                line, unlike = self._fitted(va, actual, page, order[page], content)
                fits[line] = min(unlike, fits.get(line, unlike))
        (line, unlike), *others = sorted(fits.items(), key=lambda fit: fit[1])
        return None if others and 2 * unlike > others[0][1] else line

    @cached_property
    def _orders(self) -> list[tuple[list[int], bytes]]:
        """Of each order of the sorted tables: the numbers of its pages, and all of its bytes."""
        numbers, pages = list(self._module.order), self._module.pages.data
        orders = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        return [(order, b"".join(pages[n * PAGE : (n + 1) * PAGE] for n in order)) for order in orders]

    def _fitted(self, va: int, actual: bytes, page: int, entry: int, content: bytes) -> tuple[bytes, int]:
        """A line as it would be in this page, and how many bytes of `actual` do not fit."""
        base = va - va % PAGE - page * PAGE
        window = self._window(Area.RODATA, base, page, entry, content)
        line = window.line(va, len(actual))
        _as_it_is(window, line, va, actual)
        return bytes(line), _differing(line, actual) + self._strange(window, va, actual)

    def _strange(self, window: Window, va: int, actual: bytes) -> int:
        """Bytes of values that lead where their memory cannot be, or not where others lead."""
        bases: dict[int, Counter[int]] = {}
        sizes: Counter[int] = Counter()
        for value in window.unknown:
            size = SIZES[value.field]
            at = value.at - BIAS - (va - window.va)
            where = self._module.regions[value.region - 2]
            if not 0 <= at <= at + size <= len(actual) or where.area == Area.PERCPU:
                continue
            bits = 8 * size
            now = int.from_bytes(actual[at : at + size], "little")
            moved = (now - value.linked + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
            if value.field in (Field.PC32, Field.PC64):
                moved += window.own
            base = self._kernel_text.va + where.start + moved & MASK
            bases.setdefault(value.region, Counter())[base] += size
            sizes[value.region] += size
        agreed = 0
        for found in bases.values():
            possible = [n for base, n in found.items() if base % PAGE == 0 and base >= _TOP]
            agreed += max(possible, default=0)
        return sizes.total() - agreed


def _as_it_is(window: Window, line: bytearray, va: int, actual: bytes) -> None:
    """Take values that are not known from `actual`, the line at `va`."""
    for value in window.unknown:
        at = value.at - BIAS - (va - window.va)
        first, end = max(at, 0), min(at + SIZES[value.field], len(line))
        if first < end:
            line[first:end] = actual[first:end]


_MODULES = 16  # at most, unpacked


class ModulesEvidence(Evidence):
    """Of a module that the profile has tables of: its functions, and the bytes of its code and constants."""

    def __init__(self, kernel: Profile, delta: int):
        super().__init__(kernel, delta)
        self._loaded: dict[tuple[str, int], LoadedModule] = {}  # by name and where its code begins

    def _module(self, finding: Finding) -> LoadedModule | None:
        golden, text = self.kernel.values(ModulesGolden), self.kernel.values(TextGolden)
        if isinstance(golden, Unsupported) or isinstance(text, Unsupported):
            return None
        if finding.symbol not in golden.verified:
            return None
        key = (
            finding.symbol,
            finding.address - finding.offset & MASK,
        )  # offsets count from its code, all of them
        if key not in self._loaded:
            if len(self._loaded) >= _MODULES:
                self._loaded.clear()
            self._loaded[key] = LoadedModule(self.kernel, *key, self.delta)
        return self._loaded[key]

    def name(self, finding: Finding, address: int) -> str:
        module = self._module(finding)
        return module.name(address) if module else ""

    def wanted_data(self, finding: Finding) -> bytes | None:
        module = self._module(finding)
        return module.wanted_data(finding.address, finding.actual) if module else None

    def code_change(self, finding: Finding) -> Changed | None:
        module = self._module(finding)
        return module.code_change(finding.address, finding.actual) if module else None
