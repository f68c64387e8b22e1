"""ro-after-init: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.checks.ro_after_init import golden, tamper
from tinyvmi_build.checks.ro_after_init.evidence import RoAfterInitEvidence
from tinyvmi_build.checks.ro_after_init.golden import RoAfterInitGolden
from tinyvmi_build.checks.ro_after_init.table import table

_CHANGED = "what was written at boot and made read-only has changed"

CHECK = Check(
    name="ro-after-init",
    summary="What the kernel writes at boot and never again.",
    golden=RoAfterInitGolden,
    compute=golden.compute,
    needs=(Needs.POINTERS,),
    table=table,
    order=80,
    kinds=(
        FindingKind("boot-value", "a value of the boot leads to where none leads", NOBODY_AFTER_BOOT),
        FindingKind("bytes", _CHANGED, NOBODY_AFTER_BOOT, by_digest=True),
        *(
            FindingKind(name, _CHANGED, NOBODY_AFTER_BOOT)
            for name in ("page-digest", "constant", "vdso", "static-call-site", "per-cpu")
        ),
    ),
    changes=tuple(tamper.CHANGES),
    evidence=RoAfterInitEvidence,
)
