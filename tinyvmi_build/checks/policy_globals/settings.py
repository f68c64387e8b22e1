"""policy-globals: what its table in tinyvmi.toml can say."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvmi_build.config.key import key
from tinyvmi_build.config.kinds import Strings


@dataclass(frozen=True)
class PolicyGlobalsSettings:
    """Values that may stand there; without any, the one compiled into the kernel."""

    modprobe_path: tuple[str, ...] | None = key(Strings(256), None, "What runs to load a module.")
    core_pattern: tuple[str, ...] | None = key(
        Strings(128), None, "Where core dumps go, or to which program."
    )
