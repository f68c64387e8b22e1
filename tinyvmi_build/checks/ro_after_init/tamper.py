"""Changes for the `ro-after-init` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.ro_after_init.golden import BootNumber, RoAfterInitGolden
from tinyvmi_build.checks.tamper import Change, Guest


def _flip(guest: Guest, va: int) -> list[tuple[int, bytes]]:
    return [(va, bytes([guest.read(va, 1)[0] ^ 0x01]))]


def _jump_table(guest: Guest) -> list[tuple[int, bytes]]:
    """The target of the first entry: where a static key's branch would go when it is next switched."""
    return _flip(guest, guest.profile.symbols.lookup("__start___jump_table") + 4)


def _site(guest: Guest, number: int) -> int:
    golden = guest.profile.golden(RoAfterInitGolden)
    return golden.va + golden.sites_at + 8 * number


def _static_call_site(guest: Guest) -> list[tuple[int, bytes]]:
    """A site that leads elsewhere: code that the next update of its key would overwrite."""
    va = _site(guest, 7)
    (site,) = struct.unpack("<i", guest.read(va, 4))
    return [(va, struct.pack("<i", site + 1))]


def _static_call_twice(guest: Guest) -> list[tuple[int, bytes]]:
    """One site stands for two: its neighbour would not be updated any more."""
    site, key = struct.unpack("<ii", guest.read(_site(guest, 7), 8))
    return [(_site(guest, 8), struct.pack("<ii", site - 8, key - 8))]


def _vdso(guest: Guest) -> list[tuple[int, bytes]]:
    """A site that is patched in the code which every program is given."""
    golden = guest.profile.golden(RoAfterInitGolden)
    blank = golden.encodings[0]
    return [(golden.va + blank.offset, b"\xcc" * blank.size)]


def _vdso_code(guest: Guest) -> list[tuple[int, bytes]]:
    """The vDSO's ELF header: bytes that nothing patches."""
    golden = guest.profile.golden(RoAfterInitGolden)
    return _flip(guest, golden.va + golden.encodings[0].offset // PAGE * PAGE + 1)


def _constant(guest: Guest) -> list[tuple[int, bytes]]:
    golden = guest.profile.golden(RoAfterInitGolden)
    blank = golden.constants[0]
    wrong = next(value for value in range(0x40, 0x80) if BootNumber(value, False) not in blank.values)
    return [(golden.va + blank.offset, wrong.to_bytes(blank.size, "little"))]


def _leads_into_code(guest: Guest) -> list[tuple[int, bytes]]:
    """A boot value that leads into the middle of a function: a copied table of functions, changed."""
    va = guest.profile.symbols.lookup("ptmx_fops") + 16
    return [(va, struct.pack("<Q", guest.profile.symbols.lookup("vfs_read") + 1 + guest.delta))]


def _per_cpu(guest: Guest) -> list[tuple[int, bytes]]:
    """The area of a processor that does not exist."""
    return [(guest.profile.symbols.lookup("__per_cpu_offset") + 8 * 8000, bytes(range(8)))]


def _boot_value(guest: Guest) -> list[tuple[int, bytes]]:
    """A size that depends on the machine."""
    return [(guest.profile.symbols.lookup("pcpu_unit_size"), struct.pack("<i", 1 << 20))]


CHECK = "ro-after-init"
CHANGES = [
    Change("ro-after-init-jump-table", CHECK, "one target in the jump table", _jump_table),
    Change("ro-after-init-call-site", CHECK, "one site of a static call", _static_call_site),
    Change(
        "ro-after-init-call-twice", CHECK, "one site of a static call in place of another", _static_call_twice
    ),
    Change("ro-after-init-vdso", CHECK, "breakpoints where the vDSO is patched", _vdso),
    Change("ro-after-init-vdso-code", CHECK, "a byte of the vDSO that is never patched", _vdso_code),
    Change("ro-after-init-constant", CHECK, "a value that the kernel's code never writes", _constant),
    Change("ro-after-init-boot-value", CHECK, "a boot value leads into a function", _leads_into_code),
    Change("ro-after-init-per-cpu", CHECK, "an area for a processor that is not there", _per_cpu),
    Change("benign-boot-value", None, "a boot value that leads nowhere", _boot_value),
]
