"""rodata: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.checks.rodata import golden, tamper
from tinyvmi_build.checks.rodata.evidence import RodataEvidence
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.rodata.table import table
from tinyvmi_build.profile.profile import KernelProfile

_CHANGED = "constant data was changed, which the kernel maps read-only"


def unused_address(kernel: KernelProfile) -> int:
    """A pointer that the guest does not use: llseek of /dev/full."""
    return kernel.symbols.lookup("full_fops") + 8


CHECK = Check(
    name="rodata",
    summary="Every page of the kernel's read-only data, by digest.",
    golden=RodataGolden,
    compute=golden.compute,
    needs=(Needs.RELOCATIONS,),
    table=table,
    tracked_end=lambda golden: golden.tracked_end,
    content=lambda golden: (golden.va, golden.content),
    order=90,
    kinds=(
        FindingKind("page-digest", _CHANGED, NOBODY_AFTER_BOOT),
        FindingKind("bytes", _CHANGED, NOBODY_AFTER_BOOT, by_digest=True),
    ),
    incremental=True,
    covers="its constants",
    changes=tuple(tamper.CHANGES),
    evidence=RodataEvidence,
    unused_address=unused_address,
)
