"""rodata: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind
from tinyvmi_build.checks.rodata import golden, tamper
from tinyvmi_build.profile.profile import KernelProfile

_CHANGED = "constant data was changed, which the kernel maps read-only"


def unused_address(kernel: KernelProfile) -> int:
    """A pointer that the guest does not use: llseek of /dev/full."""
    return kernel.symbols.lookup("full_fops") + 8


CHECK = Check(
    name="rodata",
    summary="Every page of the kernel's read-only data, by digest.",
    order=90,
    kinds=(
        FindingKind("page-digest", _CHANGED, NOBODY_AFTER_BOOT),
        FindingKind("bytes", _CHANGED, NOBODY_AFTER_BOOT),
    ),
    incremental=True,
    covers="its constants",
    changes=tuple(tamper.CHANGES),
    unused_address=unused_address,
    golden=golden.golden,
    blobs=golden.blobs,
)
