"""Changed code as instructions, and what a finding means."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.unit.records.stream import bye, finding, hello, kernel, lines
from tests.unit.report.reporting import Profiles
from tinyvmi_build.checks import registry
from tinyvmi_build.explain.disassemble import instructions
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.report.json_lines import JsonLines
from tinyvmi_build.report.terminal import Terminal

AT = 0xFFFFFFFF81000000


def name(va: int) -> str:
    return {AT + 0x100: "evil_fn"}.get(va, "")


def test_instructions() -> None:
    call = b"\xe8" + (0x100 - 5).to_bytes(4, "little")
    assert instructions(call, AT, name) == (f"call {AT + 0x100:#x} <evil_fn>",)
    assert instructions(b"\xe8" + bytes(4), AT, name) == (f"call {AT + 5:#x}",)
    assert instructions(b"\xc3\xcc\xcc", AT, name) == ("ret", "int3", "int3")
    assert instructions(b"\x90\x06\x90", AT, name) == ("nop", "(bad)")
    assert len(instructions(b"\x90" * 64, AT, name)) == 8
    assert instructions(b"", AT, name) == ()


def test_without_capstone_the_bytes_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    assert instructions(b"\xc3", AT, name) == ()


def test_only_code_is_disassembled() -> None:
    def is_code(check: str, kind: str) -> bool:
        return registry.finding_kind(check, kind).is_code

    assert is_code("text", "text-bytes") and is_code("modules", "return")
    assert not is_code("rodata", "bytes") and not is_code("text", "page-digest")
    assert is_code("text", "kprobe-slot") and not is_code("text", "runtime-const")
    assert not is_code("modules", "bytes") and not is_code("modules", "unknown-module")


def reported(reporter_class) -> str:  # type: ignore[no-untyped-def]
    stream, collector = io.StringIO(), Collector()
    reporter = reporter_class(stream, Explainer(Profiles()))
    address = 0xFFFFFFFF81000020
    call = b"\xe8" + (0xFFFFFFFF81000010 - address - 5 & 0xFFFFFFFF).to_bytes(4, "little")
    sides = {"expected": call.hex(), "actual": "cc90909090"}
    body = finding("text", kind="static-call", address=f"{address:#018x}", **sides)
    for line in lines(hello(), kernel(0), body, bye(0)):
        reporter.events(collector.feed(line))
    return stream.getvalue()


def test_a_person_reads_both_sides() -> None:
    text = reported(Terminal)
    assert "               call 0xffffffff81000010 <good_fn>\n" in text
    assert "               int3\n" in text
    assert "    meaning  a static call leads elsewhere than its key says" in text


def test_a_program_reads_both_sides() -> None:
    records = [json.loads(line) for line in reported(JsonLines).splitlines()]
    explained = next(r["explained"] for r in records if r.get("explained"))
    assert explained["expected_code"] == ["call 0xffffffff81000010 <good_fn>"]
    assert explained["actual_code"][0] == "int3" and explained["meaning"]
