"""Changes for the `text` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.tamper import Change, Guest
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites
from tinyvmi_build.checks.text.site_kinds import Kind


def _first(guest: Guest, kind: Kind, start: bytes | None = None) -> PatchSite:
    """The first site of a kind whose bytes begin with `start` now, past the early boot code."""
    for site in PatchSites(guest.profile.golden(TextGolden)).of(kind):
        if start is None or guest.read(site.va, len(start)) == start:
            return site
    raise LookupError(f"this kernel has no {kind.name.lower()} of that form")


def branch(opcode: int, at: int, target: int) -> bytes:
    """A jmp or call of five bytes."""
    return bytes([opcode]) + struct.pack("<I", target - (at + 5) & 0xFFFFFFFF)


def _inline_hook(guest: Guest) -> list[tuple[int, bytes]]:
    """A function's ftrace site becomes a call of another real function, as rootkits hook."""
    va = guest.profile.symbols.lookup("vfs_read")
    site = next(
        p for p in PatchSites(guest.profile.golden(TextGolden)).of(Kind.FTRACE) if va <= p.va < va + 32
    )
    return [(site.va, branch(0xE8, site.va, guest.profile.symbols.lookup("vfs_write")))]


def _plain(guest: Guest) -> list[tuple[int, bytes]]:
    """The first byte of code behind a function's ftrace site."""
    va = guest.profile.symbols.lookup("security_file_permission")
    sites = PatchSites(guest.profile.golden(TextGolden))
    site = next(p for p in sites.of(Kind.FTRACE) if va <= p.va < va + 32)
    at = site.va + site.size
    while sites.at(at):
        at += 1
    return [(at, bytes([guest.read(at, 1)[0] ^ 0x08]))]


def _static_call(guest: Guest) -> list[tuple[int, bytes]]:
    site = _first(guest, Kind.STATIC_CALL, b"\xe8")
    return [(site.va, branch(0xE8, site.va, guest.profile.symbols.lookup("vfs_write")))]


def _jump_label(guest: Guest) -> list[tuple[int, bytes]]:
    """One site of a static key that is off behaves as if it were on."""
    for site in PatchSites(guest.profile.golden(TextGolden)).of(Kind.JUMP_LABEL):
        if site.size == 5 and site.jump and guest.read(site.va, 1) != b"\xe9":
            return [(site.va, branch(0xE9, site.va, site.jump[0]))]
    raise LookupError("every static key of this kernel is on")


def _return(guest: Guest) -> list[tuple[int, bytes]]:
    """A plain return for the return thunk, or the thunk for a plain return."""
    site = _first(guest, Kind.RETURN)
    if guest.read(site.va, 1) == b"\xe9":
        return [(site.va, bytes.fromhex("c3cccccccc"))]
    thunk = guest.profile.symbols.lookup("__x86_return_thunk")
    return [(site.va, branch(0xE9, site.va, thunk))]


def _lock(guest: Guest) -> list[tuple[int, bytes]]:
    site = _first(guest, Kind.LOCK)
    return [(site.va, bytes([guest.read(site.va, 1)[0] ^ 0xF0 ^ 0x3E]))]


def _key(guest: Guest) -> list[tuple[int, bytes]]:
    """sched_schedstats switched on, the key and every site that follows it, as by sysctl."""
    key = guest.profile.symbols.lookup("sched_schedstats")
    on = guest.read(key, 4) == bytes(4)
    patches = [(key, struct.pack("<I", int(on)))]
    for site in PatchSites(guest.profile.golden(TextGolden)).of(Kind.JUMP_LABEL):
        if site.jump and site.jump[1] == key:
            target, _, branches = site.jump
            jumps = on != bool(branches)
            if site.size == 2:
                code = bytes([0xEB, target - site.va - 2 & 0xFF]) if jumps else b"\x66\x90"
            else:
                code = branch(0xE9, site.va, target) if jumps else _nop5(guest)
            patches.append((site.va, code))
    return patches


def _nop5(guest: Guest) -> bytes:
    """The NOP that this kernel patches with: before 5.13 the processor's vendor decides."""
    golden = guest.profile.golden(TextGolden)
    if golden.ideal_nops:
        pointer = struct.unpack("<Q", guest.read(golden.va + golden.ideal_nops, 8))[0]
        if pointer == golden.va + golden.k8_nops + guest.delta:
            return bytes.fromhex("6666666690")
    return bytes.fromhex("0f1f440000")


CHANGES = [
    Change("text-inline-hook", "text", "a function's entry calls another real function", _inline_hook),
    Change("text-plain-byte", "text", "one bit of code that is never patched", _plain),
    Change("text-static-call", "text", "one static call leads to another real function", _static_call),
    Change("text-jump-label", "text", "one site of a static key is switched", _jump_label),
    Change("text-return", "text", "one return goes the other way", _return),
    Change("text-lock", "text", "one lock prefix is switched", _lock),
    Change(
        "benign-static-key",
        None,
        "sched_schedstats switched, as by sysctl",
        _key,
        by_guest=("sysctl -w kernel.sched_schedstats=1", "sysctl -w kernel.sched_schedstats=0"),
    ),
]
