"""Changes to a running kernel's memory: tampers to catch, and benign ones to let pass.

One module a check, named as the check is.  The same changes are made live in
the lab (through dom0) and to memory images on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

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
    #: Made before a monitor's first scan, it hides the kernel (unverifiable) instead of being reported.
    hides_kernel: bool = False
    #: Commands by which a running guest makes the change and takes it back: what takes many writes
    #: is legitimate only as the kernel itself makes it, in one moment.
    by_guest: tuple[str, str] | None = None
    #: Modules that must be loaded.
    modules: tuple[str, ...] = ()
    #: The one by which a monitor is shown to work.
    demonstrates: bool = False

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


@dataclass(frozen=True)
class RegisterChange(Change):
    """A change of one vCPU's registers, which only a live guest has: `values` gives (name, new value)."""

    values: Callable[[LiveRegisters], list[tuple[str, int]]] = lambda guest: []
    vcpu: int = 0

    def apply(self, guest: Guest) -> Callable[[], None]:
        """Set the registers of the paused guest; the returned function puts the old values back."""
        live = cast("LiveRegisters", guest)
        old = [(name, live.register(self.vcpu, name, value)) for name, value in self.values(live)]

        def undo() -> None:
            for name, value in reversed(old):
                live.register(self.vcpu, name, value)

        return undo


class LiveRegisters(Guest, Protocol):
    """A guest whose registers can be set while it is paused."""

    def register(self, vcpu: int, name: str, value: int | None = None) -> int: ...


def register_changes(kind: str = "pvh", names: Iterable[str] | None = None) -> list[RegisterChange]:
    """Changes that no memory image can show, of a guest of `kind`: of the checks `names`, or of all."""
    from tinyvmi_build.checks import registry

    return [
        change
        for check in registry.checks()
        if names is None or check.name in names
        for change in check.register_changes(kind)
    ]


def changes() -> list[Change]:
    """Every change of the list, tampers and benign ones, in the order of the checks."""
    from tinyvmi_build.checks import registry

    return [change for check in registry.checks() for change in check.changes]


def change(name: str) -> Change:
    """The change called `name`; KeyError if there is none."""
    for candidate in (*changes(), *register_changes(), *register_changes("pv")):
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def demonstration() -> Change:
    """The tamper that shows what a monitor does: one word, and what rootkits change first."""
    return next(change for change in changes() if change.demonstrates)
