"""The patchers, held against what arch/x86/kernel/alternative.c does by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.facts import Memory, PatchingState
from tinyvmi_build.checks.text.patch import Patcher, branch
from tinyvmi_build.checks.text.series import (
    CALL_DEPTH,
    RETHUNK,
    RETPOLINE,
    RETPOLINE_LFENCE,
    SERIES,
    series_of,
)
from tinyvmi_build.checks.text.sites import Alternative, Sites, read_sites

TEXT = 0xFFFFFFFF81000000
REPL = TEXT + 0x4000
THUNKS = TEXT + 0x1000
THUNK = TEXT + 0x2000  # x86_return_thunk
FEATURE, OTHER = 40, 41


def patcher(series: str, code: bytes = b"", features: set[int] | None = None, **state: Any) -> Patcher:
    memory = Memory(TEXT, bytes(0x5000))
    memory.write(TEXT, code)
    facts: Any = SimpleNamespace(
        series=SERIES[series], text=TEXT, etext=TEXT + 0x3000, thunks=THUNKS, pv_ops=TEXT + 0x3000,
        pv_nop=TEXT + 0x2100, pv_bug=TEXT + 0x2200, native={}, pv_ident=None, pv_iret=None,
        skipped_calls=frozenset(), in_module=False,
    )  # fmt: skip
    return Patcher(facts, memory, PatchingState(frozenset(features or ()), THUNK, **state))


def alternative(
    size: int, repl_size: int, instr: int = TEXT, feature: int = FEATURE, **more: Any
) -> Alternative:
    values = {"inverted": False, "direct_call": False, "repl": REPL} | more
    return Alternative(instr=TEXT, feature=feature, size=size, repl_size=repl_size, **values)


def apply(made: Patcher, alternatives: list[Alternative], replacement: bytes) -> bytes:
    made.memory.write(REPL, replacement)
    made.run(Sites(alternatives=alternatives))
    return made.memory.read(TEXT, max(a.size for a in alternatives))


@pytest.mark.parametrize("series", SERIES)
def test_an_alternative_is_taken_or_padding_is_tidied(series: str) -> None:
    old, new = bytes.fromhex("90" * 6), bytes.fromhex("0f01cb")
    taken = apply(patcher(series, old, {FEATURE}), [alternative(6, 3)], new)
    assert taken == bytes.fromhex("0f01cb 0f1f00")
    assert apply(patcher(series, old), [alternative(6, 3)], new) == bytes.fromhex("660f1f440000")
    inverted = apply(patcher(series, old), [alternative(6, 3, inverted=True)], new)
    assert inverted == taken


def test_the_last_alternative_of_a_place_wins() -> None:
    for series in SERIES:
        made = patcher(series, b"\x90" * 3, {FEATURE, OTHER})
        made.memory.write(REPL + 16, bytes.fromhex("0f01ca"))
        entries = [alternative(3, 3), alternative(3, 3, feature=OTHER, repl=REPL + 16)]
        assert apply(made, entries, bytes.fromhex("0f01cb")) == bytes.fromhex("0f01ca")


@pytest.mark.parametrize("series", SERIES)
def test_a_call_keeps_its_target(series: str) -> None:
    made = patcher(series, b"\x90" * 7, {FEATURE})
    target = TEXT + 0x800
    code = apply(made, [alternative(7, 5)], branch(0xE8, REPL, target))
    assert code == branch(0xE8, TEXT, target) + b"\x66\x90"


def test_a_near_jump_becomes_short() -> None:
    code = branch(0xE9, REPL, TEXT + 0x40)
    old = apply(patcher("6.1", b"\x90" * 5, {FEATURE}), [alternative(5, 5)], code)
    assert old == bytes.fromhex("eb3e 0f1f00")
    new = apply(patcher("6.12", b"\x90" * 5, {FEATURE}), [alternative(5, 5)], code)
    assert new == bytes.fromhex("eb3e cccccc")
    far = branch(0xE9, REPL, TEXT + 0x800)
    for series in SERIES:
        made = patcher(series, b"\x90" * 5, {FEATURE})
        assert apply(made, [alternative(5, 5)], far) == branch(0xE9, TEXT, TEXT + 0x800)


def test_only_newer_kernels_relocate_within_a_replacement() -> None:
    """nop; lea rax, [rip + …]: apply_relocation() of 6.12 moves the displacement, 6.1 copies."""
    code = bytes.fromhex("90488d0500010000")
    assert apply(patcher("6.1", b"\x90" * 8, {FEATURE}), [alternative(8, 8)], code) == code
    moved = apply(patcher("6.12", b"\x90" * 8, {FEATURE}), [alternative(8, 8)], code)
    assert int.from_bytes(moved[4:], "little", signed=True) == 0x100 + REPL - TEXT


def test_long_padding_is_jumped_over_since_6_9() -> None:
    old = patcher("6.1").add_nops(20)
    assert old == bytes.fromhex("0f1f840000000000") * 2 + bytes.fromhex("0f1f4000")
    assert patcher("6.12").add_nops(20) == bytes.fromhex("eb12") + b"\xcc" * 18
    assert patcher("6.12").add_nops(11) == bytes.fromhex("66662e0f1f840000000000")
    assert patcher("5.10", k8_nops=True).add_nops(5) == bytes.fromhex("6666906690")


def retpoline(series: str, code: str, features: set[int], register: int = 0, **state: Any) -> bytes:
    data = bytes.fromhex(code)
    prefix = len(data)
    site = data[:-1] + branch(data[-1], TEXT + prefix - 1, THUNKS + 32 * register)
    made = patcher(series, site, features, **state)
    made.patch_retpoline(TEXT)
    return made.memory.read(TEXT, len(site))


def test_retpolines() -> None:
    unchanged = branch(0xE8, TEXT, THUNKS)
    for series in SERIES:
        assert retpoline(series, "e8", {RETPOLINE}) == unchanged
    assert retpoline("6.1", "e8", set()) == bytes.fromhex("ffd0 0f1f00")
    assert retpoline("6.1", "e8", set(), 11) == bytes.fromhex("41ffd3 6690")
    assert retpoline("6.1", "e9", set()) == bytes.fromhex("ffe0 cc 6690")
    assert retpoline("5.10", "e9", set()) == bytes.fromhex("ffe0 0f1f00")
    assert retpoline("7.2", "e9", set()) == bytes.fromhex("ffe0 cccccc")
    assert retpoline("7.2", "e8", set()) == bytes.fromhex("2e2e2e ffd0")
    assert retpoline("6.1", "e8", {RETPOLINE, RETPOLINE_LFENCE}) == bytes.fromhex("0faee8 ffd0")
    # No room: left as it was, although the processor asks for it.
    unchanged = branch(0xE8, TEXT, THUNKS + 32 * 11)
    assert retpoline("6.1", "e8", {RETPOLINE, RETPOLINE_LFENCE}, 11) == unchanged
    assert retpoline("6.1", "2ee8", {RETPOLINE, RETPOLINE_LFENCE}, 11) == bytes.fromhex("0faee8 41ffd3")


def test_its_moves_indirect_branches_out_of_lower_halves() -> None:
    its = SERIES["6.1"].its
    thunk = TEXT + 0x2800
    assert retpoline("6.1", "e8", {its}, its_thunks={0: thunk}) == branch(0xE8, TEXT, thunk)
    made = patcher("6.1", bytes(32) + branch(0xE8, TEXT + 32, THUNKS), {its}, its_thunks={0: thunk})
    made.patch_retpoline(TEXT + 32)  # its last byte lies in the upper half of the line
    assert made.memory.read(TEXT + 32, 5) == bytes.fromhex("ffd0 0f1f00")


def test_returns() -> None:
    plain = bytes.fromhex("c3cccccccc")
    assert patcher("6.1").ret(TEXT) == plain
    assert patcher("6.1", features={RETHUNK}).ret(TEXT) == branch(0xE9, TEXT, THUNK)
    its = patcher("6.1", features={RETHUNK}, its_return=True)
    assert its.ret(TEXT) == branch(0xE9, TEXT, THUNK)
    assert its.ret(TEXT + 0x20) == plain


def test_locks_follow_the_number_of_processors() -> None:
    for up, byte in ((False, b"\xf0"), (True, b"\x3e")):
        made = patcher("6.1", b"\xf0\x66", uniprocessor=up)
        made.run(Sites(locks=[TEXT, TEXT + 1]))
        assert made.memory.read(TEXT, 2) == byte + b"\x66"  # what is no lock prefix stays


def test_calls_are_counted() -> None:
    target = TEXT + 0x100
    for series in ("6.12", "7.2"):
        made = patcher(series, branch(0xE8, TEXT, target), {CALL_DEPTH})
        made.facts.call_thunk = REPL, 9  # type: ignore[misc]
        made.memory.write(REPL, bytes.fromhex("6548c13d1000000005"))
        made.memory.write(target - 9, b"\x90" * 9)
        made.run(Sites(calls=[TEXT]))
        assert made.memory.read(TEXT, 5) == branch(0xE8, TEXT, target - 9)
        pad = made.memory.read(target - 9, 9)
        moved = REPL - (target - 9)
        assert pad == bytes.fromhex("6548c13d") + (0x10 + moved).to_bytes(4, "little") + b"\x05"
        # Without padding in front of it a function is called as ever.
        other = patcher(series, branch(0xE8, TEXT, target), {CALL_DEPTH})
        other.facts.call_thunk = REPL, 9  # type: ignore[misc]
        other.memory.write(REPL, bytes.fromhex("6548c13d1000000005"))
        other.run(Sites(calls=[TEXT]))
        assert other.memory.read(TEXT, 5) == branch(0xE8, TEXT, target)


def test_calls_of_a_module_are_counted_by_what_they_call() -> None:
    """What it calls is not its to pad; its replacements stay loaded, patched before (7.2) or after."""
    target, other = TEXT + 0x900000, TEXT + 0x900100
    for series in ("6.12", "7.2"):
        made = patcher(
            series, branch(0xE8, TEXT, target) + branch(0xE8, TEXT + 5, other), {CALL_DEPTH, FEATURE}
        )
        made.facts.call_thunk = REPL, 9  # type: ignore[misc]
        made.facts.in_module, made.facts.accounts = True, lambda va: va == target  # type: ignore[method-assign]
        replacement = TEXT + 0x2000
        made.memory.write(TEXT + 16, b"\x90" * 6)
        made.memory.write(replacement, branch(0xE8, replacement, target))
        site = Alternative(TEXT + 16, replacement, FEATURE, False, False, 6, 5)
        made.run(Sites(calls=[TEXT, TEXT + 5, replacement], alternatives=[site]))
        assert made.memory.read(TEXT, 5) == branch(0xE8, TEXT, target - 9)
        assert made.memory.read(TEXT + 5, 5) == branch(0xE8, TEXT + 5, other)
        assert made.memory.read(replacement, 5) == branch(0xE8, replacement, target - 9)
        assert made.memory.read(TEXT + 16, 5) == branch(0xE8, TEXT + 16, target - 9)


def image(release: str, **more: Any) -> Any:
    return SimpleNamespace(release=release, **more)


def test_an_unknown_series_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"Linux 6\.6\.30-test patches itself"):
        series_of(image("6.6.30-test"))


def test_an_unknown_section_is_named() -> None:
    sections = [SimpleNamespace(name=name) for name in (".text", ".cfi_sites")]
    elf = SimpleNamespace(loaded_sections=sections)
    with pytest.raises(UnsupportedError, match=r"\.cfi_sites"):
        read_sites(image("6.12.1", elf=elf), SERIES["6.12"])


def test_a_table_of_another_size_is_named() -> None:
    sections = [SimpleNamespace(name=".altinstructions", addr=TEXT)]
    elf = SimpleNamespace(
        loaded_sections=sections, has_section=lambda name: True, section_bytes=lambda section: bytes(28)
    )
    broken = image(
        "6.12.1", elf=elf, section=lambda name: sections[0], btf=SimpleNamespace(sizeof=lambda name: 16)
    )
    with pytest.raises(UnsupportedError, match="struct alt_instr has 16 bytes"):
        read_sites(broken, SERIES["6.12"])
