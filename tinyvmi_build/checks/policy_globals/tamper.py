"""Changes for the `policy-globals` check."""

from __future__ import annotations

from tinyvmi_build.checks.tamper import Change, Guest

#: A value that the lab's configuration allows beside the compiled one.
ALLOWED_CORE_PATTERN = "core.%p"


def _write(guest: Guest, symbol: str, value: bytes) -> list[tuple[int, bytes]]:
    return [(guest.profile.symbols.lookup(symbol), value)]


def _modprobe_path(guest: Guest) -> list[tuple[int, bytes]]:
    return _write(guest, "modprobe_path", b"/tmp/x\0")


def _core_pattern(guest: Guest) -> list[tuple[int, bytes]]:
    return _write(guest, "core_pattern", b"|/tmp/x %p\0")


def _unterminated(guest: Guest) -> list[tuple[int, bytes]]:
    return _write(guest, "modprobe_path", b"/" * 256)


def _allowed(guest: Guest) -> list[tuple[int, bytes]]:
    return _write(guest, "core_pattern", ALLOWED_CORE_PATTERN.encode() + b"\0")


CHANGES = [
    Change(
        "policy-globals-modprobe-path",
        "policy-globals",
        "a program of the attacker's as modprobe_path",
        _modprobe_path,
    ),
    Change("policy-globals-core-pattern", "policy-globals", "core dumps piped into a program", _core_pattern),
    Change(
        "policy-globals-unterminated", "policy-globals", "a modprobe_path that does not end", _unterminated
    ),
    Change("benign-core-pattern", None, "a core_pattern that the configuration allows", _allowed),
]
