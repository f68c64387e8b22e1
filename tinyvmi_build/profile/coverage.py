"""What a monitor of a kernel verifies, and what not: check by check, with the reason of each gap.

A check whose golden values cannot be computed is *unverifiable* in every scan.  That is known when the
profile is built, and said then.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinyvmi_build.checks import registry
from tinyvmi_build.errors import Exit, TinyVMIError, UsageError
from tinyvmi_build.kernel.ko import plain_name
from tinyvmi_build.profile.profile import KernelProfile
from tinyvmi_build.progress import Progress

_MODULES = "modules"
_WILDCARDS = "*?[@"


@dataclass(frozen=True)
class Coverage:
    """One check of one kernel: it verifies all that it looks at if there are no gaps."""

    check: str
    gaps: tuple[str, ...]
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        return {"check": self.check, "verified": not self.gaps, "gaps": list(self.gaps)}


@dataclass(frozen=True)
class ModuleFacts:
    """The modules of a kernel: those that can be verified, why others cannot, and all that were given."""

    verified: tuple[str, ...]
    without: dict[str, str]
    available: tuple[str, ...]


def reason(profile: KernelProfile, check: str) -> str:
    """Why `check` cannot verify this kernel; "" if it can."""
    return str(profile.golden.get(check, {}).get("unknown", ""))


def module_facts(profile: KernelProfile) -> ModuleFacts:
    """What the profile says of modules."""
    golden: dict[str, Any] = profile.golden.get(_MODULES, {})
    return ModuleFacts(
        tuple(golden.get("list", ())),
        dict(golden.get("unverifiable", {})),
        tuple(golden.get("available", ())),
    )


def coverage(profile: KernelProfile, checks: Iterable[str] | None = None) -> list[Coverage]:
    """A row for each of `checks` (all, if none are named), in their order."""
    rows = []
    for check in registry.names() if checks is None else checks:
        why = reason(profile, check)
        if why:
            rows.append(Coverage(check, (why,)))
        elif check == _MODULES:
            rows.append(_modules(module_facts(profile)))
        else:
            rows.append(Coverage(check, ()))
    return rows


def _modules(facts: ModuleFacts) -> Coverage:
    if not facts.verified and not facts.without:
        return Coverage(_MODULES, ("no module: the kernel was given without any that is wanted",))
    gaps = tuple(f"{name}: {why}" for name, why in facts.without.items())
    return Coverage(_MODULES, gaps, f"{len(facts.verified)} of {len(facts.available)} modules")


def require_known_modules(kernels: Sequence[KernelProfile], include: Iterable[str]) -> None:
    """Raise UsageError for a name in `include` that no kernel has a module of."""
    available = {name for kernel in kernels for name in module_facts(kernel).available}
    if not available:
        return  # said already: nothing of modules is verified
    for name in include:
        if plain_name(name) in available or any(c in _WILDCARDS for c in name):
            continue
        near = difflib.get_close_matches(plain_name(name), available, n=1)
        raise UsageError(
            f"no kernel has a module '{name}'",
            hint=(f"did you mean '{near[0]}'? " if near else "")
            + "`profile show` lists the modules; what is built into the kernel is verified with it",
        )


def report_coverage(
    kernels: Sequence[KernelProfile], progress: Progress, checks: Iterable[str] | None, strict: bool
) -> list[dict[str, object]]:
    """Write the tables on stderr; what `--json` says of them.  With `strict` a gap is an error (exit 3)."""
    document: list[dict[str, object]] = []
    gaps = 0
    for kernel in kernels:
        rows = coverage(kernel, checks)
        progress.note(f"coverage of {kernel.release}:")
        for row in rows:
            if not row.gaps:
                progress.note(f"  {row.check:<18} verified{f', {row.detail}' if row.detail else ''}")
            for gap in row.gaps:
                progress.warn(f"{row.check} cannot be verified for {kernel.release}: {gap}")
        gaps += sum(len(row.gaps) for row in rows)
        document.append(
            {
                "build_id": kernel.build_id,
                "release": kernel.release,
                "coverage": [row.as_json() for row in rows],
            }
        )
    if strict and gaps:
        raise TinyVMIError(
            f"{gaps} gap{'s' if gaps > 1 else ''} in what can be verified",
            hint="each is named above; without --strict they are warnings",
            exit=Exit.UNVERIFIABLE,
        )
    return document
