"""modules: which modules of a kernel can be verified, and why others cannot."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinyvmi_build.checks.check import Detail
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.ko import plain_name
from tinyvmi_build.profile.golden import Unsupported

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile

_WILDCARDS = "*?[@"


def detail(kernel: KernelProfile) -> Detail:
    """The modules that are wanted and have no tables; how many have some."""
    golden = kernel.golden(ModulesGolden)
    if not golden.verified and not golden.unverifiable:
        return Detail(("no module: the kernel was given without any that is wanted",))
    gaps = tuple(f"{name}: {why}" for name, why in golden.unverifiable.items())
    return Detail(gaps, f"{len(golden.verified)} of {len(golden.available)} modules")


def listing(kernel: KernelProfile) -> list[str]:
    """Which modules have tables, and why others that were wanted have none."""
    golden = kernel.values(ModulesGolden)
    if isinstance(golden, Unsupported) or not golden.verified:
        return ["modules      none"]
    names = ", ".join(golden.verified)
    lines = textwrap.wrap(f"{len(golden.verified)} of {len(golden.available):,}: {names}", 96)
    rows = [f"{'modules' if i == 0 else '':<12} {line}" for i, line in enumerate(lines)]
    return rows + [f"  without    {name}: {why}" for name, why in golden.unverifiable.items()]


def require_known_modules(kernels: Sequence[KernelProfile], include: Iterable[str]) -> None:
    """Raise UsageError for a name in `include` that no kernel has a module of."""
    available: set[str] = set()
    for kernel in kernels:
        if not isinstance(golden := kernel.values(ModulesGolden), Unsupported):
            available.update(golden.available)
    if not available:
        return  # reported already: nothing of modules is verified
    for name in include:
        if plain_name(name) in available or any(c in _WILDCARDS for c in name):
            continue
        near = difflib.get_close_matches(plain_name(name), available, n=1)
        raise UsageError(
            f"no kernel has a module '{name}'",
            hint=(f"did you mean '{near[0]}'? " if near else "")
            + "`profile show` lists the modules; what is built into the kernel is verified with it",
        )
