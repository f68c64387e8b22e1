"""What a check is to the rest of the tool: one object that holds all that Python knows of it.

A check is a folder tinyvmi_build/checks/NAME with a module `check` that defines `CHECK`; the registry
finds it there.  Its C part is minios_app/checks/NAME.c, or the folder of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from tinyvmi_build.checks.lib.evidence import Evidence
from tinyvmi_build.checks.module_reader import ModuleReader
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.profile.encoding import Blob
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.checks.tamper import Change, RegisterChange
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.kernel.image import KernelImage
    from tinyvmi_build.profile.profile import KernelProfile

G = TypeVar("G", bound=GoldenValues)

#: Attributions that several checks share.
NOBODY_AFTER_BOOT = "nobody: nothing writes this after boot"
ONLY_BOOT = "only the kernel while it boots"


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding, as records name it.

    meaning      what such a finding means, in one line
    attribution  who could have made such a change legitimately
    transient    findings of this kind come and go while the kernel patches itself
    is_code      the bytes are instructions
    by_digest    the monitor knows by a digest alone what should be there: its record has what is
    address_in   the address that the bytes hold, if they hold one
    """

    name: str
    meaning: str
    attribution: str
    transient: bool = False
    is_code: bool = False
    by_digest: bool = False
    address_in: Callable[[bytes], int | None] | None = None


def pointer_in(raw: bytes) -> int | None:
    """The address in the bytes of a finding that is a pointer, as in memory, little-endian."""
    return int.from_bytes(raw, "little") if len(raw) == 8 else None


def _no_changes(guest_kind: str) -> list[RegisterChange]:
    return []


class Detail(NamedTuple):
    """Gaps in what a check verifies of a kernel that it supports, with reasons; how much it verifies."""

    gaps: tuple[str, ...] = ()
    covered: str = ""


def _no_detail(kernel: KernelProfile) -> Detail:
    return Detail()


def _no_listing(kernel: KernelProfile) -> list[str]:
    return []


def _always(config: Config) -> bool:
    return True


@dataclass(frozen=True)
class Check(Generic[G]):
    """One check.

    name              as records and the configuration name it
    summary           what it compares, in one line: the documentation of its switch
    golden            the dataclass of its golden values
    compute           what makes them of a kernel; UnsupportedError if it does not know the kernel's mechanism
    needs             what it needs of a kernel's file: without that it is unsupported
    table             the values of its template table.c.j2; None if it has no table in C
    tracked_end       the link address of the end of the pages that its incremental form follows
    content           the file's bytes that its golden values keep, and their link address
    relies_on         checks without whose golden values it cannot verify a kernel either
    detail            what a coverage table says of it beyond that
    module_reader     how it takes golden values from the kernel's module files, if it does
    listing           lines about it in what `profile show` prints
    order             its turn in a scan: a check that is quick comes before one that takes long
    kinds             what it can find
    settings          the dataclass of its own table in tinyvmi.toml, None if it has none
    possible          whether a monitor of a configuration can make it at all
    incremental       whether it has a form that runs between two scans and re-checks only what was written
    covers            what its pages are to a reader of the benchmark: "its code"
    grows             its cost depends on how large the kernel is, or on how much the guest runs
    changes           changes of memory: those that it must report, and benign ones
    register_changes  the same of registers, for a guest of a kind
    lab_settings      what the lab's own project sets in its table, so that benign changes are allowed
    evidence          what it can say of its findings from the profile
    patch_sites       how many sites that the kernel patches its golden values have
    unused_address    a link address that it compares incrementally and that a guest at rest does not use
    """

    name: str
    summary: str
    golden: type[G]
    compute: Callable[[KernelImage], G]
    needs: tuple[Needs, ...] = ()
    table: Callable[[G, KernelProfile, Config], Mapping[str, object]] | None = None
    tracked_end: Callable[[G], int] | None = None
    content: Callable[[G], tuple[int, Blob]] | None = None
    relies_on: tuple[str, ...] = ()
    detail: Callable[[KernelProfile], Detail] = _no_detail
    listing: Callable[[KernelProfile], list[str]] = _no_listing
    module_reader: ModuleReader | None = None
    order: int = 1000
    kinds: tuple[FindingKind, ...] = ()
    settings: type[Any] | None = None
    possible: Callable[[Config], bool] = _always
    incremental: bool = False
    covers: str = ""
    grows: bool = False
    changes: tuple[Change, ...] = ()
    register_changes: Callable[[str], list[RegisterChange]] = _no_changes
    lab_settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patch_sites: Callable[[G], int] | None = None
    unused_address: Callable[[KernelProfile], int] | None = None
    evidence: type[Evidence] = Evidence

    @property
    def identifier(self) -> str:
        """The name in C and Python, and of its folders."""
        return self.name.replace("-", "_")

    def kind(self, name: str) -> FindingKind | None:
        """The kind of finding called `name`; None if it has none of that name."""
        return next((kind for kind in self.kinds if kind.name == name), None)
