"""Loaded modules: untouched ones are intact, any byte changed in one is caught, unknown ones are named."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.dump.conftest import Checked, Memory, made_once, run_checker
from tests.dump.live import Watcher
from tests.dump.module_subject import LOADED, ModuleSubject, ModuleTarget, check_after, loadable
from tests.dump.test_text_changes import WRONGS, Wrong, _makeable
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.lab.machine.packages import fetch_kernel

#: (metapackage, suite): each series, and a kernel whose modules are a package by themselves.
KERNELS = [
    ("linux-image-cloud-amd64", "bookworm"),
    ("linux-image-cloud-amd64", "bullseye"),
    ("linux-image-amd64", "trixie"),
    ("linux-image-cloud-amd64", "sid"),
]
#: Those of which every test run changes something; of the others it sees that they are intact.
CHANGED_KERNELS = [
    pytest.param(kernel, marks=[] if kernel[1] in ("bookworm", "sid") else [pytest.mark.long])
    for kernel in KERNELS
]
SEED = 20_261_125
A_RUN = 8
#: Modules that have sites of many kinds, and others that are small.
CHANGED = (
    "nf_tables",
    "btrfs",
    "xfs",
    "kvm",
    "aesni_intel",
    "raid6_pq",
    "virtio_net",
    "bridge",
    "nf_conntrack",
)


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory):
    """`subjects(metapackage, suite)`, each made once."""
    return made_once(tmp_path_factory, ModuleSubject)


def _clean(checked: Checked, at_least: int) -> None:
    assert checked.exit == 0, checked.records
    state = checked.collector.checks["modules"]
    assert state.findings == 0 and state.reason == "" and state.items > at_least


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k[1]}-{k[0][12:]}")
def test_loaded_modules_are_intact(subjects, kernel: tuple[str, str]) -> None:
    subject = subjects(*kernel)
    _clean(run_checker(subject.checker, subject.dump()), 1000)
    assert subject.profile.golden(ModulesGolden).unverifiable == {}


@pytest.mark.parametrize(
    "extra, cpu, smp",
    [
        ("mitigations=off", "Haswell", 2),
        ("", "EPYC-Milan", 2),
        ("nokaslr", "max", 1),
        ("ftrace=function", "Haswell", 1),
    ],
)
def test_circumstances(subjects, extra: str, cpu: str, smp: int) -> None:
    subject = subjects(*KERNELS[0])
    _clean(run_checker(subject.checker, subject.dump(LOADED, extra, cpu, smp)), 1000)


def test_modules_that_were_unloaded_are_gone(subjects) -> None:
    subject = subjects(*KERNELS[0])
    script = "for m in nft_ct xfs btrfs tun veth; do rmmod $m; done"
    modules = (
        "nf_tables",
        "nft_ct",
        "xfs",
        "btrfs",
        "tun",
        "veth",
        "loop",
        "bridge",
        "fuse",
        "isofs",
        "dm_mod",
        "overlay",
    )
    _clean(run_checker(subject.checker, subject.dump(modules, script=script)), 100)


@pytest.fixture(scope="module", params=CHANGED_KERNELS, ids=lambda k: f"{k[1]}-{k[0][12:]}")
def memory(request: pytest.FixtureRequest, subjects, tmp_path_factory) -> Iterator[Memory]:
    subject = subjects(*request.param)
    path = tmp_path_factory.mktemp("modules-memory") / "copy.raw"
    copy = Memory(subject.dump(), path, subject.profile, subject.checker)
    yield copy
    copy.close()


CHANGES = [c for c in changes() if c.modules]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.name)
def test_changes_of_the_list(memory: Memory, change: Change) -> None:
    patches = change.patches(memory)
    assert all(memory.read(va, len(data)) != data for va, data in patches)
    checked = check_after(memory, patches, memory.check)
    if change.caught_by is None:
        _clean(checked, 1000)
        return
    assert checked.exit == 5
    assert checked.collector.checks["modules"].findings == len(patches)
    finding = checked.findings("modules")[0]
    assert finding["symbol"] == change.modules[0]
    assert 0 <= patches[0][0] + memory.delta - int(str(finding["address"]), 16) < 128
    assert memory.check().exit == 0


def _loaded(memory: Memory) -> list[ModuleTarget]:
    found = []
    for name in CHANGED:
        try:
            found.append(ModuleTarget(memory, name))
        except LookupError:
            continue
    assert len(found) >= 6
    return found


@pytest.mark.parametrize("kind, what, wrong", WRONGS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_wrong_encoding_is_caught(memory: Memory, kind: Kind, what: str, wrong: Wrong) -> None:
    """Several places at once, each reported by its kind, with what is there."""
    tried = 0
    for target in _loaded(memory):
        made = _makeable(cast(Any, target), kind, wrong, random.Random(SEED))[:A_RUN]
        if not made:
            continue
        tried += len(made)
        checked = check_after(memory, [(m.va, m.new) for m in made], memory.check)
        assert checked.collector.checks["text"].findings == 0
        assert checked.collector.checks["modules"].findings == len(made), (
            target.module.name,
            checked.records,
        )
        findings = {
            int(str(f["address"]), 16) - memory.delta & (1 << 64) - 1: f for f in checked.findings("modules")
        }
        for m in made:
            finding = findings[m.va & (1 << 64) - 1]
            assert finding["kind"] == m.place.name and finding["symbol"] == target.module.name
            assert bytes.fromhex(str(finding["actual"])) == m.new
    if not tried:
        pytest.skip("no module that is loaded has such a place")


def test_any_single_byte_is_caught(memory: Memory) -> None:
    """One random byte of every page of some modules, a few at a time: each is reported where it is."""
    rng = random.Random(SEED)
    tried = 0
    for target in _loaded(memory):
        made = []
        for page in target.pages():
            va = page + rng.randrange(4096)
            made.append((va, bytes([memory.read(va, 1)[0] ^ rng.randrange(1, 256)])))
        for at in range(0, len(made), A_RUN):
            _covered(memory, made[at : at + A_RUN])
        tried += len(made)
    assert tried > 400


def _covered(memory: Memory, made: list[tuple[int, bytes]]) -> None:
    checked = check_after(memory, made, memory.check)
    assert checked.exit == 5
    starts = [(int(str(f["address"]), 16), f) for f in checked.findings("modules")]

    def covers(va: int) -> bool:
        size = 4096
        return any(
            0 <= va + memory.delta - start < (size if f["kind"] == "page-digest" else 128)
            for start, f in starts
        )

    missed = [change for change in made if not covers(change[0])]
    if missed and len(made) > 1:
        # A value from which others are worked out is wrong, and more is reported than is described.
        assert checked.collector.checks["modules"].findings > len(made) or len(starts) >= len(made)
        for change in made:
            _covered(memory, [change])
    else:
        assert not missed, (made, checked.findings("modules"))


def test_a_module_without_tables_is_named(tmp_path: Path, subjects) -> None:
    """All others are checked; by policy it is a finding."""
    dump = subjects(*KERNELS[0]).dump()
    some = loadable(fetch_kernel(*KERNELS[0]), [name for name in LOADED if name not in ("tun", "raid6_pq")])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    checked = run_checker(ModuleSubject(tmp_path / "a", *KERNELS[0], include=some).checker, dump)
    state = checked.collector.checks["modules"]
    assert checked.exit == 3 and state.verdict.value == "unverifiable"
    assert state.reason == "tun (no tables of it)"  # raid6_pq comes with btrfs
    assert state.items > 1000 and state.findings == 0
    policy = ModuleSubject(tmp_path / "b", *KERNELS[0], include=some, more='unknown = "tampered"\n')
    checked = run_checker(policy.checker, dump)
    assert checked.exit == 5
    (finding,) = checked.findings("modules")
    assert (finding["kind"], finding["symbol"]) == ("unknown-module", "tun")


def test_what_the_list_says_is_not_believed(memory: Memory) -> None:
    """Names, sizes, states and links of struct module are the guest's to write."""
    target = _loaded(memory)[0]
    module, facts = target.module, memory.profile.golden(ModulesGolden)
    name = module.at + facts.name
    state = module.at + facts.state
    link = module.at + facts.next
    for change, exit_code, said in (
        ([(name, b"rootkit\0")], 3, "rootkit (no tables of it)"),
        ([(state, b"\2\0\0\0")], 3, "being loaded or unloaded"),
        ([(link, (link + memory.delta).to_bytes(8, "little"))], 5, "it is on the list of modules twice"),
        ([(link, (0x1234).to_bytes(8, "little"))], 3, ""),
    ):
        checked = check_after(memory, change, memory.check)
        assert checked.exit == exit_code, checked.records
        reported = checked.collector.checks["modules"].reason + str(checked.findings("modules"))
        assert said in reported
    if (split := facts.split) is not None:
        size = module.at + split.layout + split.memory[1] * split.memory_size + split.size
    else:
        assert facts.core is not None
        size = module.at + facts.core.layout + facts.core.text_size
    checked = check_after(memory, [(size, b"\0\x10\0\0")], memory.check)
    assert checked.exit == 5
    assert "describes other memory" in str(checked.findings("modules")[0]["note"])


def test_changes_after_the_first_scan(memory: Memory) -> None:
    """Then pages are compared with what was kept of them: plain bytes, places, read-only data."""
    rng = random.Random(SEED)
    with Watcher(memory.checker, memory.path, period_ms=10) as watcher:
        watcher.scans(2)
        for target in _loaded(memory)[:5]:
            place = rng.choice([p for p in target.places.all if p.size >= 4])
            page = rng.choice(target.pages())
            for va in (place.va + place.size - 1, page + rng.randrange(4096)):
                old = memory.read(va, 1)
                memory.write(va, bytes([old[0] ^ 0x41]))
                watcher.until(lambda: str(watcher.collector.checks["modules"].verdict) == "tampered")
                memory.write(va, old)
                watcher.until(lambda: str(watcher.collector.checks["modules"].verdict) == "intact")
                assert watcher.collector.checks["modules"].details[0].symbol == target.module.name
        assert str(watcher.collector.checks["text"].worst) == "intact"
