"""Changes to a running kernel's memory: tampers to catch, and benign ones to let pass.

One module a check, named as the check is.  The same changes are made live in
the lab (through dom0) and to memory images on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile


class Guest(Protocol):
    """A target's kernel memory by link address, in a lab or in an image.

    Outside of the kernel's image (modules) an address is the running one minus `delta`.
    """

    profile: KernelProfile
    #: Running minus link address.
    delta: int

    def read(self, link_va: int, size: int) -> bytes: ...

    def write(self, link_va: int, data: bytes) -> None: ...


@dataclass(frozen=True)
class Change:
    """One change; `patches` gives (link address, new bytes) for a guest."""

    name: str
    #: The check that must report it; None for a benign change.
    caught_by: str | None
    description: str
    patches: Callable[[Guest], list[tuple[int, bytes]]]
    #: Made before a monitor's first look, it hides the kernel (unverifiable) instead of being reported.
    hides_kernel: bool = False
    #: Commands by which a running guest makes the change and takes it back: what takes many writes
    #: is legitimate only as the kernel itself makes it, in one moment.
    by_guest: tuple[str, str] | None = None
    #: Modules that must be loaded.
    modules: tuple[str, ...] = ()

    def apply(self, guest: Guest) -> Callable[[], None]:
        """Write the patches; the returned function puts the old bytes back."""
        patches = self.patches(guest)
        old = [(va, guest.read(va, len(data))) for va, data in patches]
        for va, data in patches:
            guest.write(va, data)

        def undo() -> None:
            for va, data in reversed(old):
                guest.write(va, data)

        return undo


def changes() -> list[Change]:
    """Every change of the list, tampers and benign ones, in the order of the checks."""
    from tinyvmi_build.lab.tamper import (
        function_pointers,
        identity,
        idt,
        modules,
        page_tables,
        policy_globals,
        ro_after_init,
        rodata,
        syscall_table,
        text,
    )

    files = (
        *(identity, syscall_table, idt, policy_globals, rodata, text),
        *(function_pointers, page_tables, ro_after_init, modules),
    )
    return [change for file in files for change in file.CHANGES]


def change(name: str) -> Change:
    """The change called `name`; KeyError if there is none."""
    for candidate in changes():
        if candidate.name == name:
            return candidate
    raise KeyError(name)
