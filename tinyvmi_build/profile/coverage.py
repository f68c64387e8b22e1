"""What a monitor of a kernel verifies, and what not: check by check, with the reason of each gap.

A check whose golden values cannot be computed is *unverifiable* in every scan.  That is known when the
profile is built, and said then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyvmi_build.checks import registry
from tinyvmi_build.errors import Exit, TinyVMIError
from tinyvmi_build.profile.profile import KernelProfile
from tinyvmi_build.progress import Progress


@dataclass(frozen=True)
class Coverage:
    """One check of one kernel: it verifies all that it compares if there are no gaps."""

    check: str
    gaps: tuple[str, ...]
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        return {"check": self.check, "verified": not self.gaps, "gaps": list(self.gaps)}


def coverage(profile: KernelProfile, checks: Iterable[str] | None = None) -> list[Coverage]:
    """A row for each of `checks` (all, if none are named), in the order of a scan."""
    wanted = None if checks is None else set(checks)
    rows = []
    for check in registry.checks():
        if wanted is not None and check.name not in wanted:
            continue
        if why := registry.gap(check, profile):
            rows.append(Coverage(check.name, (why,)))
        else:
            rows.append(Coverage(check.name, *check.detail(profile)))
    return rows


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
