"""policy-globals: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.policy_globals.golden import PolicyGlobalsGolden
from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: PolicyGlobalsGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes: of each string the values that are allowed."""
    settings = config.checks.of(PolicyGlobalsSettings)
    strings = []
    for string in golden.strings:
        allowed: tuple[str, ...] | None = getattr(settings, string.symbol)
        strings.append(
            {
                "symbol": string.symbol,
                "va": string.va,
                "size": string.size,
                "allowed": list(allowed) if allowed is not None else [string.compiled],
            }
        )
    return {"strings": strings}
