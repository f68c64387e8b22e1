"""modules: the text and read-only data of loaded modules, from the .ko files of the package.

`layout` and `link` do what the kernel's loader does, `sites` and `golden.text` know what it
patches, `pages` and `tables` put it into the monitor's form; docs/design/checks/modules.md tells the whole.
The modules themselves are not in the kernel's image: `collect` reads and computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown, require
from tinyvmi_build.checks.modules.layout import Area, Rules

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
        raise Unknown(f"struct {type_name} is not described: {why}") from None


def rules(image: KernelImage, series: Series) -> Rules:
    """How this kernel lays its modules out."""
    return Rules(image.btf.has_member("struct module", "mem"), series.static_calls_ro)


def golden(image: KernelImage) -> dict[str, Any]:
    """Where the kernel keeps its modules: the list's offset from _text, and members of struct module."""
    from tinyvmi_build.checks.text.series import series_of

    split = rules(image, series_of(image)).split
    found: dict[str, Any] = {
        "head": require(image, "modules") - require(image, "_text"),
        "next": _offset(image, "module", "list"),
        "name": _offset(image, "module", "name"),
        "state": _offset(image, "module", "state"),
        "percpu": _offset(image, "module", "percpu"),
        "split": split,
    }
    if image.btf.sizeof("struct module", "name") != _NAME_SIZE:
        raise Unknown(f"names of modules do not have {_NAME_SIZE} bytes")
    if split:
        numbers = [image.btf.enum_value("enum mod_mem_type", name) for name in _MEMORY.values()]
        return found | {
            "layout": _offset(image, "module", "mem"),
            "base": _offset(image, "module_memory", "base"),
            "size": _offset(image, "module_memory", "size"),
            "memory_size": image.btf.sizeof("struct module_memory"),
            "memory": numbers,
        }
    sizes = ("text_size", "ro_size", "ro_after_init_size")
    return (
        found
        | {
            "layout": _offset(image, "module", "core_layout"),
            "base": _offset(image, "module_layout", "base"),
            "size": _offset(image, "module_layout", "size"),
        }
        | {name: _offset(image, "module_layout", name) for name in sizes}
    )
