"""What GRUB is made into for guests: that it boots is seen where such a guest is started."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest

from tinyvmi_build.errors import UsageError
from tinyvmi_build.lab.machine import device_model, grub
from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.progress import Progress

_SECTOR = 512


def test_a_disk_is_a_boot_sector_and_an_archive() -> None:
    disk = grub.disk(b"kernel" * 1000, b"initramfs", "console=hvc0", Progress(quiet=True))
    assert len(disk) % _SECTOR == 0
    assert disk[510:512] == b"\x55\xaa"
    active, kind, start, sectors = struct.unpack("<B3xB3xII", disk[446:462])
    assert (active, kind) == (0x80, 0x83)
    assert start * _SECTOR + sectors * _SECTOR == len(disk)
    assert any(disk[_SECTOR : 2 * _SECTOR])  # where the boot sector goes on
    with tarfile.open(fileobj=io.BytesIO(disk[start * _SECTOR :])) as archive:
        held = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    assert (held["vmlinuz"], held["initrd"]) == (b"kernel" * 1000, b"initramfs")
    assert held["grub.cfg"].splitlines()[0] == b"linux (hd0,msdos1)/vmlinuz console=hvc0"


@pytest.mark.long
def test_the_device_model_has_its_libraries_and_firmware() -> None:
    """`closure` raises if one is in no package."""
    archive = device_model.archive(Progress(quiet=True))
    for name in (b"xen-qemu-system-i386", b"libspice-server.so.1", b"bios-256k.bin", b"keymaps/en-us"):
        assert name + b"\0" in archive


def test_the_device_model_goes_with_one_xen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device model"):
        Lab(options=MachineOptions(hvm=True, suite="trixie", folder=tmp_path)).start()
