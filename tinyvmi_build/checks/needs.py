"""What a check needs of the file that a kernel is read from; without it the check is unsupported."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: A function of kernels that choose their address at boot (CONFIG_RANDOMIZE_MEMORY, arch/x86/mm/kaslr.c).
_KASLR = "kernel_randomize_memory"


class Needs(enum.Enum):
    """A fact of a kernel's file."""

    #: The list of its relocations: which words hold addresses.
    POINTERS = "pointers"
    #: Bytes as they are at the address where the kernel runs: its relocations, or a kernel that never moves.
    RELOCATIONS = "relocations"

    def missing(self, image: KernelImage) -> str:
        """Why `image` does not have it; "" if it has."""
        if len(image.relocs):
            return ""
        if self is Needs.RELOCATIONS and image.symbols.get(_KASLR) is None:
            return ""
        return f"its file {image.name} has no relocations: give the package's vmlinuz"
