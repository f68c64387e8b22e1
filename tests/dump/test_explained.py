"""Findings to act on: where, what should be there, what is, as instructions, and whose it may be."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.dump.conftest import Checked, Memory
from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.explain.explainer import Explainer, Explanation
from tinyvmi_build.profile.profile import ProfileFile

# Those of modules: test_modules.py.
TAMPERS = [c for c in changes() if c.caught_by and not c.hides_kernel and not c.modules]
#: What several values could explain: no single one is expected.
NO_ONE_VALUE = ("static-call-site", "boot-value")


def explained(memory: Memory, checked: Checked) -> list[tuple[dict[str, Any], Explanation]]:
    explainer = Explainer(ProfileFile([memory.profile]))
    found = []
    for record in checked.records:
        explainer.see(record)
        if record["type"] == "finding":
            found.append((record, explainer.finding(record)))
    return found


@pytest.mark.parametrize("change", TAMPERS, ids=lambda c: c.name)
def test_every_finding_is_explained(memory: Memory, change: Change) -> None:
    undo = change.apply(memory)
    try:
        findings = explained(memory, memory.check())
    finally:
        undo()
    assert findings
    for record, known in findings:
        assert known.meaning and known.attribution, record
        assert known.symbol, record
        if record["kind"] == "mapping":  # of physical addresses
            continue
        inside = int(record["address"], 16) - memory.delta - memory.profile.text_va
        if 0 <= inside < memory.profile.image_size:
            assert known.section, record
        assert known.expected_bytes or record["expected"] or record["kind"] in NO_ONE_VALUE, record
        assert known.actual_bytes or record["actual"], record
        if record["check"] == "text":
            assert known.expected_code and known.actual_code or record["kind"] in ("lock", "runtime-const"), (
                record
            )
            assert known.site or record["kind"] == "text-bytes", record


def test_changed_code_is_reported_in_whole_instructions(memory: Memory) -> None:
    """One byte of plain code at a time: what should be there is read back from the profile."""
    rng = random.Random(20_261_125)
    from tinyvmi_build.checks.text.patch_sites import PatchSites

    places = PatchSites(memory.profile.golden(TextGolden))
    chosen = []
    for function in rng.sample(places.functions, 400):
        at = function + rng.randrange(4, 24)
        if (
            not places.at(at)
            and places.function_of(at) == function
            and memory.read(at, 1) not in (b"\x90", b"\xcc")
        ):
            chosen.append(at)
    for at in chosen[:12]:
        old = memory.read(at, 1)
        memory.write(at, bytes([old[0] ^ 0x20]))
        try:
            findings = explained(memory, memory.check())
        finally:
            memory.write(at, old)
        ((record, known),) = findings
        assert record["kind"] == "text-bytes"
        begin = int(known.address, 16) - memory.delta
        wanted = bytes.fromhex(known.expected_bytes)
        assert begin <= at < begin + len(wanted) <= begin + 15 + 1
        assert wanted == memory.read(begin, len(wanted))
        assert bytes.fromhex(known.actual_bytes)[at - begin] == old[0] ^ 0x20
        assert known.expected_code and "(bad)" not in known.expected_code, known
        assert known.section == ".text" and known.symbol.partition("+")[0]
