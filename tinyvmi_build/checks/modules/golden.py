"""modules: the text and read-only data of loaded modules, from the .ko files of the package.

`layout` and `link` do what the kernel's loader does, `sites` and the check `text` know what it
patches, `pages` and `tables` put it into the monitor's form; docs/design/checks/modules.md
explains the whole.
The modules themselves are not in the kernel's image: `collect` reads and computes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.modules.layout import Area, Rules
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.series import Series
    from tinyvmi_build.kernel.image import KernelImage

_NAME_SIZE = 56
#: Names of each area in enum mod_mem_type (linux/module.h).
_MEMORY = {area: f"MOD_{area.name}" for area in Area if area != Area.PERCPU}


def _offset(image: KernelImage, type_name: str, member: str) -> int:
    try:
        return image.btf.offset(f"struct {type_name}", member)
    except KeyError as why:
        raise UnsupportedError(f"struct {type_name} is not described: {why}") from None


def rules(image: KernelImage, series: Series) -> Rules:
    """How this kernel lays its modules out."""
    return Rules(image.btf.has_member("struct module", "mem"), series.static_calls_ro)


@dataclass(frozen=True)
class SplitLayout:
    """Since Linux 6.4: struct module_memory, an array of kinds of memory."""

    layout: int
    base: int
    size: int
    memory_size: int
    memory: tuple[int, ...]  # of each area that is not per CPU its number in the array


@dataclass(frozen=True)
class CoreLayout:
    """Before: struct module_layout, one allocation in parts."""

    layout: int
    base: int
    size: int
    text_size: int
    ro_size: int
    ro_after_init_size: int


@dataclass(frozen=True)
class ModulesGolden(GoldenValues):
    """Where the kernel keeps its modules: the list's offset from _text, and members of struct module.

    Of the modules: `verified` have tables in the profile (`load_module`), of which `extra` were given
    beside the package; `unverifiable` says why others that are wanted have none; `available` are all that
    were found.
    """

    CHECK: ClassVar[str] = "modules"

    head: int
    next: int
    name: int
    state: int
    percpu: int
    split: SplitLayout | None
    core: CoreLayout | None
    verified: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    unverifiable: dict[str, str] = field(default_factory=dict)
    available: tuple[str, ...] = ()


def compute(image: KernelImage) -> ModulesGolden:
    """Of a kernel of a known series whose BTF describes modules."""
    from tinyvmi_build.checks.text.series import series_of

    split = rules(image, series_of(image)).split
    if image.btf.sizeof("struct module", "name") != _NAME_SIZE:
        raise UnsupportedError(f"names of modules do not have {_NAME_SIZE} bytes")
    return ModulesGolden(
        head=require(image, "modules") - require(image, "_text"),
        next=_offset(image, "module", "list"),
        name=_offset(image, "module", "name"),
        state=_offset(image, "module", "state"),
        percpu=_offset(image, "module", "percpu"),
        split=_split(image) if split else None,
        core=None if split else _core(image),
    )


def _split(image: KernelImage) -> SplitLayout:
    return SplitLayout(
        layout=_offset(image, "module", "mem"),
        base=_offset(image, "module_memory", "base"),
        size=_offset(image, "module_memory", "size"),
        memory_size=image.btf.sizeof("struct module_memory"),
        memory=tuple(image.btf.enum_value("enum mod_mem_type", name) for name in _MEMORY.values()),
    )


def _core(image: KernelImage) -> CoreLayout:
    return CoreLayout(
        layout=_offset(image, "module", "core_layout"),
        base=_offset(image, "module_layout", "base"),
        size=_offset(image, "module_layout", "size"),
        text_size=_offset(image, "module_layout", "text_size"),
        ro_size=_offset(image, "module_layout", "ro_size"),
        ro_after_init_size=_offset(image, "module_layout", "ro_after_init_size"),
    )
