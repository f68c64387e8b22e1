"""A kernel with its facts, checker and dumps for the tests of `text`."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from tests.dump.circumstances import Circumstance
from tests.dump.conftest import Checked, run_checker
from tests.dump.text_oracle import Oracle
from tinyvmi_build.checks.lib.insn import decode
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSites
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_host_checker
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.profile.build import build
from tinyvmi_build.profile.profile import KernelProfile

_PROBED = (("ksys_read", 3), ("vfs_write", 4), ("ksys_write", 5))  # function, instruction


def boot_of(circumstance: Circumstance, image: Callable[[], KernelImage]) -> dict[str, Any]:
    """Fields of DumpOptions; kprobes are put where `image()` has instructions."""
    boot = circumstance.boot()

    def probes(form: str, join: str = "") -> str:
        places = ((function, _inside(image(), function, number)) for function, number in _PROBED)
        return join.join(form.format(f=function, at=at) for function, at in places)

    makers = {
        "{kprobes}": lambda: probes("p:{f},{f}+{at}", ";"),
        "{probes}": lambda: probes("echo p:{f} {f}+{at} >> kprobe_events; "),
        "{more}": lambda: probes("echo p:{f}_2 {f}+{at} >> kprobe_events; "),
        "{inner}": lambda: str(_inside(image(), "do_nanosleep", 4)),
    }
    for name in ("extra", "script"):
        for word, make in makers.items():
            if word in boot[name]:
                boot[name] = boot[name].replace(word, make())
    return boot


def _inside(image: KernelImage, function: str, number: int) -> int:
    """Offset of the instruction `number` of a function."""
    code, at = image.read(image.symbols.lookup(function), 96), 0
    for _ in range(number):
        insn = decode(code, at)
        assert insn
        at += insn.length
    return at


class TextSubject:
    """One kernel; only `text` is checked, so that a finding is one of it."""

    def __init__(self, folder: Path, metapackage: str, suite: str, allow: tuple[str, ...] = ()):
        self.package = fetch_kernel(metapackage, suite)
        self.profiles = build([self.package])
        self.profile = self.profiles.kernels[0]
        self.memory_mib = 256 if "cloud" in metapackage else 512
        config = folder / "tinyvmi.toml"
        others = [check for check in self.profile.checks if check not in ("text", "identity")]
        off = "".join(f"{check} = false\n" for check in others)
        policy = "".join(f'{what} = "allow"\n' for what in allow)
        config.write_text(
            f'[kernel]\npackages = ["{self.package}"]\n[checks]\n{off}'
            + (f"[checks.text]\n{policy}" if policy else "")
        )
        self.checker = build_host_checker(load(config, env={}), profiles=self.profiles)
        self.places = PatchSites(self.profile.golden(TextGolden))

    @cached_property
    def image(self) -> KernelImage:
        return KernelImage.load(self.package)

    def dump(self, circumstance: Circumstance) -> Path:
        return raw_dump(
            self.package, DumpOptions(self.memory_mib, **boot_of(circumstance, lambda: self.image))
        )

    def check(self, dump: Path) -> Checked:
        return run_checker(self.checker, dump)


class Known(Protocol):
    """A kernel whose dumps are read: TextSubject, and whoever has the same."""

    @property
    def profile(self) -> KernelProfile: ...
    @property
    def image(self) -> KernelImage: ...


class Dump:
    """A memory image by link address; `writable` changes are private to this process until saved."""

    def __init__(self, data: mmap.mmap, subject: Known):
        self.bytes = data
        self.profile = subject.profile
        self.text_pa, self.delta = self._find()

    def _find(self) -> tuple[int, int]:
        kernel = self.profile.discovery
        wanted = bytes.fromhex(self.profile.build_id)
        offset = kernel.build_id_va - kernel.text_va
        for pa in range(0, len(self.bytes) - offset - 20, 2 << 20):
            if self.bytes[pa + offset : pa + offset + 20] != wanted:
                continue
            at = pa + kernel.phys_base_va - kernel.text_va
            phys_base = struct.unpack("<Q", self.bytes[at : at + 8])[0]
            delta = pa - kernel.physical_start - phys_base & (1 << 64) - 1
            if delta < 1 << 30 and delta % (2 << 20) == 0:
                return pa, delta
        raise AssertionError("no kernel in the dump")

    def pa(self, link_va: int) -> int:
        """Outside of the kernel's image its page tables tell."""
        offset = link_va - self.profile.text_va
        if 0 <= offset < self.profile.image_size:
            return self.text_pa + offset
        return self.at(link_va + self.delta & (1 << 64) - 1)

    def read(self, link_va: int, size: int) -> bytes:
        return self.bytes[self.pa(link_va) : self.pa(link_va) + size]

    def write(self, link_va: int, data: bytes) -> None:
        self.bytes[self.pa(link_va) : self.pa(link_va) + len(data)] = data

    def entry(self, va: int) -> tuple[int, int]:
        """Physical address of the page-table entry that maps running address `va`, and its page's size."""
        table = self.pa(self.profile.discovery.root_va)
        for shift in (39, 30, 21, 12):
            entry = table + 8 * (va >> shift & 511)
            value = int.from_bytes(self.bytes[entry : entry + 8], "little")
            assert value & 1, f"{va:#x} is not mapped"
            if shift == 12 or value & 0x80:
                return entry, 1 << shift
            table = value & 0xFFFFFFFFFF000
        raise AssertionError

    def at(self, va: int) -> int:
        """Physical address of running address `va`, wherever it is mapped."""
        entry, size = self.entry(va)
        page = int.from_bytes(self.bytes[entry : entry + 8], "little") & 0xFFFFFFFFFF000 & -size
        return page + va % size

    def peek(self, va: int, size: int = 8) -> bytes:
        """Bytes at running address `va`, within one page."""
        return self.bytes[self.at(va) : self.at(va) + size]

    def pointer(self, va: int) -> int:
        return int.from_bytes(self.peek(va), "little")


@contextmanager
def opened(path: Path, subject: Known, access: int = mmap.ACCESS_READ) -> Iterator[Dump]:
    with path.open("r+b" if access == mmap.ACCESS_WRITE else "rb") as handle:
        data = mmap.mmap(handle.fileno(), 0, access=access)
        try:
            yield Dump(data, subject)
        finally:
            data.close()


def unexplained(subject: Known, dump: Path) -> int:
    """Bytes of .text in `dump` that the oracle predicts otherwise; kprobes taken out first."""
    with opened(dump, subject) as memory:
        oracle = Oracle(subject.image, memory.read, memory.delta)
        predicted = oracle.predict()
        actual = memory.read(subject.profile.text_va, len(predicted))
    if predicted == actual:
        return 0
    return sum(a != b for a, b in zip(predicted, actual, strict=True))
