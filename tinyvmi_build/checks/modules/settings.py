"""modules: what its table in tinyvmi.toml can say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build.checks.modules.common import COMMON
from tinyvmi_build.config.key import key
from tinyvmi_build.config.kinds import Choice, Strings


@dataclass(frozen=True)
class ModuleNames(Strings):
    """Names and patterns of modules; a word with an @ stands for several."""

    limit: int = 128

    def parse(self, value: Any, base: Path) -> tuple[str, ...]:
        names = super().parse(value, base)
        for name in names:
            if name == "@usual":
                raise ValueError('names with "@common", which was "@usual" before')
            if name.startswith("@") and name != COMMON:
                raise ValueError(f'names of modules, patterns, or "{COMMON}"')
        return names


@dataclass(frozen=True)
class ModulesSettings:
    """Which modules can be verified, and what becomes of others."""

    include: tuple[str, ...] = key(
        ModuleNames(),
        ("@common",),
        "Names or patterns; what they depend on comes by itself. `@common`: what guests usually load.",
    )
    unknown: str = key(
        Choice(("unverifiable", "tampered")),
        "unverifiable",
        "The verdict about any other loaded module, which is reported by name.",
    )
