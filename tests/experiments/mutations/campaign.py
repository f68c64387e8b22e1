"""A mutation campaign: bytes of a saved kernel are changed by the thousand, and each change must be reported.

Random bytes are changed many at a time, one a page, as a page makes one finding:
as many findings as changes means that all were caught.  Where the numbers
differ the batch is halved until the change that made the difference stands alone.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from tests.dump.conftest import Checked
from tests.dump.test_text_changes import (
    WRONGS,
    Target,
    _has_variable,
    _makeable,
    _relocations_across_lines,
)
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.loaded import LoadedModule
from tinyvmi_build.checks.ro_after_init.golden import EXACT, RoAfterInitGolden
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.profile.golden import Unsupported

PAGE = 4096


@dataclass(frozen=True)
class Change:
    """One byte at a link address, in the range of `check`."""

    check: str
    va: int
    value: int


@dataclass
class Tally:
    """What was tried and what was caught, by what it was."""

    tried: Counter[str] = field(default_factory=Counter)
    caught: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    runs: int = 0

    def add(self, what: str, caught: int, tried: int = 1) -> None:
        self.tried[what] += tried
        self.caught[what] += caught


@dataclass(frozen=True)
class Range:
    """`size` bytes from link address `va` on that `check` verifies byte by byte."""

    check: str
    va: int
    size: int


def ranges(target: Target) -> list[Range]:
    """What is verified byte by byte, of the kernel and of the modules that are loaded."""
    profile = target.subject.profile
    found = [
        Range(golden.CHECK, golden.va, golden.size)
        for golden in (profile.values(RodataGolden), profile.values(TextGolden))
        if not isinstance(golden, Unsupported)
    ]
    return [*found, *_after_init(target), *_modules(target)]


def _after_init(target: Target) -> Iterator[Range]:
    """Of ro-after-init what its digests cover."""
    golden = target.subject.profile.values(RoAfterInitGolden)
    if not isinstance(golden, Unsupported):
        for run in re.finditer(b"%c+" % EXACT, golden.kinds.data):
            yield Range(golden.CHECK, golden.va + run.start(), len(run[0]))


def _modules(target: Target) -> Iterator[Range]:
    golden = target.subject.profile.values(ModulesGolden)
    for name in () if isinstance(golden, Unsupported) else golden.verified:
        try:
            module = LoadedModule(target.memory, name)
        except LookupError:
            continue
        for area in (Area.TEXT, Area.RODATA):
            yield Range("modules", module.base[area], module.golden.sizes[area])


def random_changes(target: Target, number: int, rng: random.Random) -> list[Change]:
    """`number` random bytes of all ranges, each changed to another random value."""
    where = ranges(target)
    ends = list(accumulate(one.size for one in where))
    changes: list[Change] = []
    while len(changes) < number:
        at = rng.randrange(ends[-1])
        one = where[i := bisect_right(ends, at)]
        va = one.va + one.size + at - ends[i]
        if _is_state(target, va):
            continue  # the state itself lies there: then every site that depends on it differs
        changes.append(Change(one.check, va, target.memory.read(va, 1)[0] ^ rng.randrange(1, 256)))
    return changes


def _is_state(target: Target, va: int) -> bool:
    place = target.places.at(va)
    return place is not None and place.kind == Kind.RUNTIME_CONST and not _has_variable(target, place)


def batches(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """The changes in as few lists as there can be with one change a page."""
    by_page: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        by_page[change.va // PAGE].append(change)
    while by_page:
        yield [left.pop() for left in by_page.values()]
        by_page = {page: left for page, left in by_page.items() if left}


def try_bytes(target: Target, number: int, rng: random.Random, tally: Tally) -> None:
    """`number` random single bytes."""
    ambiguous = _relocations_across_lines(target)
    changes = random_changes(target, number, rng)
    for change in changes:
        if change.va in ambiguous or target.call_depth:
            _check_batch(target, [change], tally)
    if not target.call_depth:  # a counted call across a border makes one change two findings
        for batch in batches(c for c in changes if c.va not in ambiguous):
            _check_batch(target, batch, tally)


def _check_batch(target: Target, batch: list[Change], tally: Tally) -> None:
    checked = target.check_after([(c.va, bytes([c.value])) for c in batch])
    tally.runs += 1
    wanted = Counter(c.check for c in batch)
    exact = all(_found(checked, check) == count for check, count in wanted.items())
    if exact or (len(batch) == 1 and _found(checked, batch[0].check)):
        for check, count in wanted.items():
            tally.add(f"{check}: any byte", count, count)
    elif len(batch) == 1:
        tally.add(f"{batch[0].check}: any byte", 0)
        tally.missed.append(f"{batch[0].check}: {batch[0].va:#x} changed to {batch[0].value:#04x}")
    else:
        half = len(batch) // 2
        _check_batch(target, batch[:half], tally)
        _check_batch(target, batch[half:], tally)


def _found(checked: Checked, check: str) -> int:
    return checked.collector.checks[check].findings


def encoding_name(kind: Kind, what: str) -> str:
    return f"{kind.name.lower().replace('_', '-')}: {what}"


def try_encodings(target: Target, rng: random.Random, tally: Tally) -> None:
    """Every wrong encoding at places of its kind, each reported by address, kind and bytes."""
    for kind, what, wrong in WRONGS:
        if not target.places.of(kind):
            continue
        made = _makeable(target, kind, wrong, rng)
        if not made:
            continue
        checked = target.check_after([(m.va, m.new) for m in made])
        tally.runs += 1
        reported = {
            int(str(f["address"]), 16) - target.memory.delta: (f["kind"], bytes.fromhex(str(f["actual"])))
            for f in checked.findings("text")
        }
        name = encoding_name(kind, what)
        for m in made:
            caught = reported.get(m.va) == (m.place.name, m.new)
            tally.add(name, caught)
            if not caught:
                tally.missed.append(f"{name} at {m.va:#x}: {reported.get(m.va)}")
