"""How a check takes golden values from the kernel's module files, which are read beside the kernel itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.kernel.image import KernelImage
    from tinyvmi_build.kernel.modules import Wanted
    from tinyvmi_build.profile.profile import KernelProfile

Cache = Callable[[str, Callable[[], bytes]], bytes]  # key, maker → what was made now or before


@dataclass(frozen=True)
class Modules:
    """The modules of a kernel: which are wanted, where they are searched for, and a cache of their tables."""

    image: KernelImage
    wanted: Wanted
    sources: list[Path]
    cache: Cache


@dataclass(frozen=True)
class ModuleReader:
    """The part of a check that has it.

    patterns       the names and patterns in a list; ValueError saying what was wanted
    wanted         the modules that a configuration names; None if its monitor verifies none
    require_known  UsageError for a name that no kernel has a module of
    extend         the profile that a function makes, with the golden values of the modules
    """

    patterns: Callable[[list[str]], tuple[str, ...]]
    wanted: Callable[[Config], Wanted | None]
    require_known: Callable[[Sequence[KernelProfile], Iterable[str]], None]
    extend: Callable[[Modules, Callable[[], KernelProfile]], KernelProfile]
