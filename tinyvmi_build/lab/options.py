"""What a lab and a target in it shall be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: A PV dom0 faults early under QEMU's -cpu max and EPYC (SMAP); SVM and NPT are what PVH guests need.
PLAIN_CPU = "qemu64,+svm,+npt"
#: With AVX2.  Without `-rdtscp` Xen's emulation of that instruction can hold a target up for ever.
AVX2_CPU = "max,-smap,-rdtscp"
MEMORY_MIB = 256  # of a target


@dataclass(frozen=True)
class MachineOptions:
    """The machine, and what boots on it."""

    #: Path → content of files that are in the target's file system.
    target_files: Mapping[str, Path | bytes] = field(default_factory=dict)
    #: A package (.deb) or vmlinuz that the target boots; None: today's cloud kernel.
    target_kernel: Path | None = None
    #: Everything is written into this folder, which stays; None: a temporary one.
    folder: Path | None = None
    #: Keep the temporary folder, too.
    keep: bool = False
    kvm: bool = False
    #: The target can also be booted by GRUB (the kind "pvh-grub"), and its KASLR is then active.
    grub: bool = False
    #: dom0 has a device model, for the kind "hvm".
    hvm: bool = False
    #: The Debian release whose Xen, tools and dom0 kernel are booted; None: one that works here.
    suite: str | None = None
    #: FLASK modules (name → text of a .te) for a Xen with XSM, in enforcing mode; None: Debian's Xen.
    policy: Mapping[str, str] | None = None
    #: One processor, on which an instruction takes one nanosecond of the guests' time: counts repeat.
    icount: bool = False
    #: What the target can load beside target.LATER.
    more_modules: tuple[str, ...] = ()
    #: QEMU's model of the processor.
    cpu: str = PLAIN_CPU
    #: More of Xen's command line.
    xen_options: str = ""
    #: A folder for dom0 to mount and read, by the 9p tag session.SHARE.
    share: Path | None = None
    #: Of the machine, of dom0.
    memory_mib: tuple[int, int] | None = None


@dataclass(frozen=True)
class TargetOptions:
    """What kind of guest."""

    #: pvh, pv or, in a lab with `grub`, pvh-grub, in one with `hvm`, hvm.
    kind: str = "pvh"
    #: More of its kernel's command line, if its kind is pvh or pv.
    extra: str = ""
    #: Its FLASK label, if it has one.
    label: str = ""
    vcpus: int = 1
    memory_mib: int = MEMORY_MIB
