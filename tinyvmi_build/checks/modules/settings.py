"""modules: what its table in tinyvmi.toml can say."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvmi_build.config.key import key
from tinyvmi_build.config.kinds import Choice, Strings


@dataclass(frozen=True)
class ModulesSettings:
    """Which modules can be verified, and what becomes of others."""

    include: tuple[str, ...] = key(
        Strings(128),
        ("@common",),
        "Names or patterns; what they depend on comes by itself. `@common`: what guests usually load.",
    )
    unknown: str = key(
        Choice(("unverifiable", "tampered")),
        "unverifiable",
        "Of a loaded module that is none of them: the verdict, with its name.",
    )
