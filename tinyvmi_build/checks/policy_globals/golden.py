"""policy-globals: strings in kernel data that decide what the kernel runs as root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Symbol and size of its array: KMOD_PATH_LEN (linux/kmod.h), CORENAME_MAX_SIZE (fs/coredump.c).
STRINGS = {"modprobe_path": 256, "core_pattern": 128}


@dataclass(frozen=True)
class PolicyString:
    """A string: its symbol, the link address and size of its array, and what the package has there."""

    symbol: str
    va: int
    size: int
    compiled: str


@dataclass(frozen=True)
class PolicyGlobalsGolden(GoldenValues):
    """The strings that this kernel has."""

    CHECK: ClassVar[str] = "policy-globals"

    strings: tuple[PolicyString, ...]


def compute(image: KernelImage) -> PolicyGlobalsGolden:
    """Of a kernel that has any of them."""
    strings = [
        PolicyString(name, va, size, image.cstr(va))
        for name, size in STRINGS.items()
        if (va := image.symbols.get(name)) is not None
    ]
    if not strings:
        raise UnsupportedError("this kernel has none of the policy strings")
    return PolicyGlobalsGolden(tuple(strings))
