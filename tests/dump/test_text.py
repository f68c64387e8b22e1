"""Untouched kernels: every byte of .text is explained, by the oracle and by the check."""

from __future__ import annotations

import pytest

from tests.dump.circumstances import FAST, named
from tests.dump.conftest import made_once
from tests.dump.text_subject import TextSubject, unexplained
from tinyvmi_build.checks.text.golden import TextGolden


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory):
    """`subjects(metapackage, suite)`, each made once."""
    return made_once(tmp_path_factory, TextSubject)


@pytest.mark.parametrize(
    "kernel, circumstance",
    FAST,
    ids=lambda value: value if isinstance(value, str) else f"{value[1]}-{value[0][12:]}",
)
def test_nothing_is_unexplained(subjects, kernel, circumstance) -> None:
    subject, circumstance = subjects(*kernel), named(circumstance)
    dump = subject.dump(circumstance)
    checked = subject.check(dump)
    kinds = {str(finding["kind"]) for finding in checked.findings("text")}
    assert kinds == circumstance.findings, checked.findings("text")
    text = checked.collector.checks["text"]
    assert text.items >= subject.profile.golden(TextGolden).size // 4096  # and trampolines, and slots
    assert text.reason == ""
    if circumstance.oracle and not circumstance.findings:  # it knows of no kprobes
        assert unexplained(subject, dump) == 0


def test_the_places_cover_every_kind(subjects) -> None:
    """What is not in the file's tables would not be tried by any test here."""
    counts = subjects("linux-image-cloud-amd64", "trixie").profile.golden(TextGolden).counts
    assert {name for name, count in counts.items() if count} == {
        *("alternative", "return", "retpoline", "lock", "endbr", "ftrace", "jump-label"),
        *("static-call", "trampoline", "runtime-const", "ftrace-update"),
    }
    assert counts["return"] > 40_000 and counts["ftrace"] > 30_000
    older = subjects("linux-image-cloud-amd64", "bookworm").profile.golden(TextGolden).counts
    assert older["paravirt"] > 1_000


def test_a_scan_takes_less_than_a_second(subjects) -> None:
    subject = subjects("linux-image-amd64", "bookworm")
    checked = subject.check(subject.dump(named("plain")))
    times = [r["duration_us"] for r in checked.records if r["type"] == "check" and r["check"] == "text"]
    assert times and float(str(times[0])) < 1_000_000
