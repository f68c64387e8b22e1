"""text: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.checks.text import golden, tamper
from tinyvmi_build.checks.text.evidence import TextEvidence
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.kinds import KINDS
from tinyvmi_build.checks.text.patch_sites import PatchSites
from tinyvmi_build.checks.text.settings import TextSettings
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.table import table
from tinyvmi_build.profile.profile import KernelProfile


def unused_address(kernel: KernelProfile) -> int:
    """Plain code that the guest does not run, in machine_kexec()."""
    va = kernel.symbols.lookup("machine_kexec")
    sites = PatchSites(kernel.golden(TextGolden))
    at = next(p for p in sites.of(Kind.FTRACE) if va <= p.va < va + 32).va + 5
    while any(sites.at(at + n) for n in range(4)):
        at += 1
    return at


CHECK = Check(
    name="text",
    summary="Every byte of the kernel's code, patch sites included.",
    golden=TextGolden,
    compute=golden.compute,
    needs=(Needs.RELOCATIONS,),
    table=table,
    tracked_end=lambda golden: golden.tracked_end,
    content=lambda golden: (golden.va, golden.content),
    order=100,
    kinds=KINDS,
    settings=TextSettings,
    incremental=True,
    covers="its code",
    grows=True,
    changes=tuple(tamper.CHANGES),
    evidence=TextEvidence,
    patch_sites=lambda golden: len(golden.code.sites),
    unused_address=unused_address,
)
