"""policy-globals: strings in kernel data that decide what the kernel runs as root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Symbol and size of its array: KMOD_PATH_LEN (linux/kmod.h), CORENAME_MAX_SIZE (fs/coredump.c).
STRINGS = {"modprobe_path": 256, "core_pattern": 128}


def golden(image: KernelImage) -> dict[str, Any]:
    """`{"strings": [{"symbol", "va", "size", "compiled"}]}`; `compiled` is the package's own value."""
    strings = []
    for name, size in STRINGS.items():
        va = image.symbols.get(name)
        if va is not None:
            strings.append({"symbol": name, "va": va, "size": size, "compiled": image.cstr(va)})
    if not strings:
        raise Unknown("this kernel has none of the policy strings")
    return {"strings": strings}
