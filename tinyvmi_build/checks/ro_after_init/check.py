"""ro-after-init: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind
from tinyvmi_build.checks.ro_after_init import golden, tamper

_CHANGED = "what was written at boot and made read-only has changed"

CHECK = Check(
    name="ro-after-init",
    summary="What the kernel writes at boot and never again.",
    order=80,
    kinds=(
        FindingKind("boot-value", "a value of the boot leads to where none leads", NOBODY_AFTER_BOOT),
        *(
            FindingKind(name, _CHANGED, NOBODY_AFTER_BOOT)
            for name in ("bytes", "page-digest", "constant", "vdso", "static-call-site", "per-cpu")
        ),
    ),
    changes=tuple(tamper.CHANGES),
    golden=golden.golden,
    blobs=golden.blobs,
)
