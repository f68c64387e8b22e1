"""modules: a profile with the golden values of the modules that are wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.module_reader import Modules
from tinyvmi_build.checks.modules.common import wanted
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.settings import ModuleNames, ModulesSettings
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.modules import Wanted, modules_in
from tinyvmi_build.profile.golden import Unsupported, golden_sections

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def patterns(names: list[str]) -> tuple[str, ...]:
    """Names and patterns as checks.modules.include has them; ValueError saying what was wanted."""
    return ModuleNames().parse(names, Path())


def wanted_modules(config: Config) -> Wanted | None:
    """Those that a configuration names; None if its monitor verifies none."""
    if ModulesGolden.CHECK in config.checks.off:
        return None
    return Wanted(config.checks.of(ModulesSettings).include, config.kernel.modules)


def extend(modules: Modules, bare: Callable[[], KernelProfile]) -> KernelProfile:
    """The profile that `bare` makes, with the tables of the modules that are wanted."""
    from tinyvmi_build.checks.modules import collect  # here: what is in the cache needs none of it

    files: dict[str, bytes] = {}
    for source in modules.sources:
        files.update(modules_in(source, modules.image.release))
    extra = _extra(modules)
    names = sorted({*wanted(files, modules.wanted.include), *extra})
    try:
        # Under way in other processes while this one makes the kernel's own.
        collection = collect.Collection(modules.image, files, names, modules.cache)
    except UnsupportedError:
        return bare()  # whose golden values say why
    try:
        profile = bare()
        found = collection.result()
    except BaseException:
        collection.cancel()
        raise
    sections = {f"blob/modules/{name}": tables for name, tables in found.tables.items()}
    golden = profile.values(ModulesGolden)
    if not isinstance(golden, Unsupported):
        golden = replace(
            golden,
            verified=tuple(sorted(found.tables)),
            extra=tuple(sorted(extra)),
            unverifiable=dict(sorted(found.unsupported.items())),
            available=tuple(sorted(files)),
        )
        sections |= golden_sections(golden.CHECK, golden)
    return profile.with_sections(sections)


def _extra(modules: Modules) -> set[str]:
    """The names of the modules that were given beside the package."""
    found: set[str] = set()
    for source in modules.wanted.extra:
        found_there = modules_in(source, modules.image.release)
        if not found_there:
            raise UsageError(
                f"{source}: no modules of Linux {modules.image.release} in it",
                hint="it was searched for *.ko, *.ko.xz, *.ko.zst and *.ko.gz",
            )
        found.update(found_there)
    return found
