"""identity: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind
from tinyvmi_build.checks.identity import golden, tamper
from tinyvmi_build.checks.identity.golden import IdentityGolden

CHECK = Check(
    name="identity",
    summary="The kernel's build-id and banner.",
    golden=IdentityGolden,
    compute=golden.compute,
    order=10,
    kinds=(
        FindingKind("bytes", "the image's build-id is not its package's", NOBODY_AFTER_BOOT),
        FindingKind("string", "the kernel's banner is not its package's", NOBODY_AFTER_BOOT),
        FindingKind("mapping", "kernel addresses lead to other frames than the image's", "nobody"),
    ),
    changes=tuple(tamper.CHANGES),
)
