"""Changed lines of modules: what should be there is read back, and is what was there before the change."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dump.conftest import Memory
from tests.dump.module_subject import LOADED, ModuleSubject, ModuleTarget, check_after
from tests.dump.test_explained import explained
from tinyvmi_build.checks.lib.digest_range import BIAS, PAGE
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import KERNEL, SIZES, Field
from tinyvmi_build.checks.modules.pages import entries
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.explain.explainer import Explanation

#: (metapackage, suite, command line, processor): one area for all, one each, and calls that are counted.
KERNELS = [
    ("linux-image-cloud-amd64", "bookworm", "", "Haswell"),
    ("linux-image-amd64", "trixie", "", "Haswell"),
    ("linux-image-amd64", "trixie", "retbleed=stuff", "Skylake-Server"),
]
MODULES = ("nf_tables", "bridge", "raid6_pq")
SEED = 20_261_126
A_RUN = 8
EACH = 48  # changes of each area of a module
LINE = 128


@pytest.fixture(scope="module", params=KERNELS, ids=lambda k: f"{k[1]}-{k[0][12:]}{'-counted' * bool(k[2])}")
def memory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    metapackage, suite, extra, cpu = request.param
    subject = ModuleSubject(tmp_path_factory.mktemp("modules"), metapackage, suite)
    dump = subject.dump(LOADED, extra, cpu)
    copy = Memory(dump, tmp_path_factory.mktemp("memory") / "copy.raw", subject.profile, subject.checker)
    yield copy
    copy.close()


def _bytes(memory: Memory, va: int, size: int) -> bytes:
    return b"".join(memory.read(va + i, 1) for i in range(size))


def _open(target: ModuleTarget, area: Area, offset: int) -> bool:
    """Whether `offset` lies in a value that counts from memory that is neither the kernel nor this area."""
    golden = target.module.golden
    tables = golden.text if area == Area.TEXT else golden.rodata
    pages = {offset // PAGE}
    if area == Area.RODATA:
        order = golden.order.values
        pages = {order[offset // PAGE], order[len(order) // 2 + offset // PAGE]}
    for page in pages:
        first, end = tables.reloc_index.values[page : page + 2]
        for number, at in entries(tables.relocs.data[first:end]):
            field, region = golden.classes[number]
            if region > KERNEL and 0 <= offset % PAGE - (at - BIAS) < SIZES[Field(field)]:
                return True
    return False


def _chosen(memory: Memory, target: ModuleTarget, area: Area) -> dict[int, bytes]:
    """Link address and new value of one byte each of some lines; none of a patched place."""
    rng = random.Random(SEED)
    base, size = target.module.base[area], target.module.golden.sizes[area]
    found = {}
    for line in rng.sample(range(0, size, LINE), min(EACH, size // LINE)):
        va = base + line + rng.randrange(LINE)
        if area != Area.TEXT or not target.places.at(va):
            found[va] = bytes([memory.read(va, 1)[0] ^ 1 << rng.randrange(8)])
    return found


def _reported(memory: Memory, changes: dict[int, bytes]) -> dict[int, tuple[dict[str, Any], Explanation]]:
    """What is reported of each change, some of which are made at a time."""
    found = {}
    todo = list(changes.items())
    for i in range(0, len(todo), A_RUN):
        checked = check_after(memory, todo[i : i + A_RUN], memory.check)
        assert checked.exit == 5
        for record, known in explained(memory, checked):
            at = int(record["address"], 16) - memory.delta
            found |= {va: (record, known) for va, _ in todo[i : i + A_RUN] if 0 <= va - at < LINE}
    return found


def _as_compiled(memory: Memory, was: bytes, wanted: bytes) -> bool:
    """A changed call alone in its line does not tell whether calls are counted: it is shown as compiled."""
    pad = len(memory.profile.golden(TextGolden).call_pad.code)
    moved = int.from_bytes(wanted[1:], "little") - int.from_bytes(was[1:], "little")
    return was[0] == wanted[0] == 0xE8 and len(was) == 5 and moved == pad


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("area", [Area.TEXT, Area.RODATA], ids=lambda a: a.name.lower())
def test_what_should_be_there_is_what_was_there(
    memory: Memory, request: pytest.FixtureRequest, name: str, area: Area
) -> None:
    """Nothing may be left out but values that count from memory whose place is not known."""
    counted = "counted" in request.node.name
    target = ModuleTarget(memory, name)
    changes = _chosen(memory, target, area)
    reported = _reported(memory, changes)
    # A sum has 8 bits: where a line keeps it by chance, other lines of the page are reported, or the page.
    assert len(reported) >= len(changes) - 2 > 20
    unreported = cut = as_compiled = 0
    for va, (record, known) in reported.items():
        assert record["kind"] == ("text-bytes" if area == Area.TEXT else "bytes")
        assert record["symbol"] == name and not record["expected"]
        if not known.expected_bytes:
            assert _open(target, area, va - target.module.base[area]), record
            unreported += 1
            continue
        at = int(known.address, 16) - memory.delta
        wanted, actual = bytes.fromhex(known.expected_bytes), bytes.fromhex(known.actual_bytes)
        assert len(wanted) == len(actual) and actual[va - at : va - at + 1] == changes[va]
        was = _bytes(memory, at, len(wanted))
        if wanted != was:
            assert counted and _as_compiled(memory, was, wanted), (record, known)
            as_compiled += 1
        if area == Area.TEXT:
            assert known.symbol.startswith(f"{name}:")
            assert known.cut or (known.expected_code and known.actual_code), known
            assert "(bad)" not in known.expected_code, known
            cut += known.cut
    assert unreported <= len(reported) // 10 and cut + as_compiled <= len(reported) // 10


def test_a_pointer_in_read_only_data_is_named(memory: Memory) -> None:
    """An operation of a structure of the module's that leads to another of its functions."""
    target = ModuleTarget(memory, "nf_tables")
    base, size = target.module.base[Area.RODATA], target.module.golden.sizes[Area.RODATA]
    data = _bytes(memory, base, size)
    functions = [va + memory.delta & (1 << 64) - 1 for va in target.places.functions]
    entry_of, known_ones = set(functions), 0
    for at in range(0, size, 8):
        pointer = int.from_bytes(data[at : at + 8], "little")
        if pointer not in entry_of:
            continue
        other = next(va for va in functions if va != pointer)
        checked = check_after(memory, [(base + at, other.to_bytes(8, "little"))], memory.check)
        ((_, known),) = explained(memory, checked)
        assert known.expected_bytes == data[at : at + 8].hex()
        assert known.actual_bytes == other.to_bytes(8, "little").hex()
        assert known.expected.startswith("nf_tables:") and known.actual.startswith("nf_tables:")
        assert int(known.address, 16) == base + at + memory.delta
        known_ones += 1
        if known_ones == 6:
            break
    assert known_ones == 6
