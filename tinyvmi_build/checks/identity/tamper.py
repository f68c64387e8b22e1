"""Changes for the `identity` check."""

from __future__ import annotations

from tinyvmi_build.checks.tamper import Change, Guest

NODENAME = 65  # struct new_utsname (uapi/linux/utsname.h): after sysname[65]


def _banner(guest: Guest) -> list[tuple[int, bytes]]:
    return [(guest.profile.symbols.lookup("linux_banner") + 14, b"9")]


def _build_id(guest: Guest) -> list[tuple[int, bytes]]:
    va = guest.profile.discovery.build_id_va + 19
    return [(va, bytes([guest.read(va, 1)[0] ^ 0xFF]))]


def _hostname(guest: Guest) -> list[tuple[int, bytes]]:
    return [(guest.profile.symbols.lookup("init_uts_ns") + NODENAME, b"renamed\0")]


CHANGES = [
    Change("identity-banner", "identity", "another version in linux_banner", _banner),
    Change("identity-build-id", "identity", "the last byte of the build-id", _build_id, hides_kernel=True),
    Change("benign-hostname", None, "the guest's host name", _hostname),
]
