"""policy-globals: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind
from tinyvmi_build.checks.policy_globals import golden, tamper
from tinyvmi_build.checks.policy_globals.golden import PolicyGlobalsGolden
from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings
from tinyvmi_build.checks.policy_globals.table import table

CHECK = Check(
    name="policy-globals",
    summary="Strings that decide which program the kernel starts as root.",
    golden=PolicyGlobalsGolden,
    compute=golden.compute,
    table=table,
    order=40,
    kinds=(
        FindingKind(
            "string",
            "the kernel would start this program as root",
            "an administrator, with sysctl: if so, allow it in [checks.policy-globals]",
        ),
    ),
    settings=PolicyGlobalsSettings,
    changes=tuple(tamper.CHANGES),
    lab_settings={"core_pattern": ("core", tamper.ALLOWED_CORE_PATTERN)},
)
