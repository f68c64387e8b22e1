"""modules: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind
from tinyvmi_build.checks.module_reader import ModuleReader
from tinyvmi_build.checks.modules import golden, tamper
from tinyvmi_build.checks.modules.coverage import detail, listing, require_known_modules
from tinyvmi_build.checks.modules.evidence import ModulesEvidence
from tinyvmi_build.checks.modules.extend import extend, patterns, wanted_modules
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.settings import ModulesSettings
from tinyvmi_build.checks.modules.table import table
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.kinds import MAPPING, SITES

CHECK = Check(
    name="modules",
    summary="Every byte of the code and read-only data of loaded modules.",
    golden=ModulesGolden,
    compute=golden.compute,
    needs=(Needs.RELOCATIONS,),
    table=table,
    relies_on=(TextGolden.CHECK,),
    detail=detail,
    listing=listing,
    module_reader=ModuleReader(patterns, wanted_modules, require_known_modules, extend),
    order=110,
    kinds=(
        FindingKind(
            "unknown-module",
            "a module is loaded that the packages given do not explain",
            "an administrator or DKMS: if so, give its .ko with [kernel] modules or --modules",
        ),
        FindingKind("module", "the kernel's own list of its modules is not as it must be", "nobody"),
        FindingKind(
            "text-bytes",
            "a module's code was changed where the kernel never patches it",
            "nobody: debuggers and rootkits do this",
            is_code=True,
            by_digest=True,
        ),
        FindingKind(
            "bytes", "a module's constant data was changed", "nobody once it is loaded", by_digest=True
        ),
        FindingKind(
            "page-digest",
            "a page of a module was changed so that its sums by lines are the same",
            "nobody: it was made to deceive",
        ),
        MAPPING,
        *SITES,
    ),
    settings=ModulesSettings,
    grows=True,
    changes=tuple(tamper.CHANGES),
    evidence=ModulesEvidence,
)
