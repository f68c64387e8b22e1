"""Every kind of finding says what it means and who could have made the change."""

from __future__ import annotations

import re
from pathlib import Path

from tinyvmi_build.checks import registry

CHECKS = Path(__file__).parents[3] / "minios_app/checks"


def kinds() -> set[tuple[str, str]]:
    """(check, kind) as the checks' sources report them."""
    found = set()
    for source in CHECKS.rglob("*.c"):
        text = source.read_text()
        family = source.parent.name
        check = (source.stem if family == "checks" else family).replace("_", "-")
        if family != "lib":  # what several share: each of them names its kinds, too
            found |= {
                (check, kind.lower().replace("_", "-")) for kind in re.findall(r"\bTV_KIND_(\w+)", text)
            }
    return found


def test_every_kind_of_the_monitor_has_a_meaning() -> None:
    found = kinds()
    assert {
        ("text", "ftrace-trampoline"),
        ("text", "bpf"),
        ("text", "static-call"),
        ("text", "kprobe-slot"),
        ("text", "runtime-const"),
        ("text", "jump-label"),
        ("rodata", "bytes"),
        ("idt", "gate"),
    } <= found
    assert all(
        registry.finding_kind(*pair).meaning and registry.finding_kind(*pair).attribution for pair in found
    )


def test_what_is_not_known_has_none() -> None:
    assert (
        not registry.finding_kind("text", "anything").meaning
        and not registry.finding_kind("unheard-of", "x").meaning
    )


def test_kinds_of_one_name_are_numbered_once() -> None:
    names = [kind.name for kind in registry.finding_kinds()]
    assert names == sorted(set(names))
    assert {kind.name for check in registry.checks() for kind in check.kinds} == set(names)
