"""What the patchers work on and know: memory, the running kernel's state, addresses by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.insn import Insn, decode
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.series import Series
from tinyvmi_build.checks.text.sites import Sites

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.source import CodeImage


class Memory:
    """Bytes of the kernel from link address `base` on, writable."""

    def __init__(self, base: int, data: bytes | bytearray):
        self.base = base
        self.data = bytearray(data)

    @classmethod
    def of(cls, image: CodeImage, start: int, end: int) -> Memory:
        """The file's bytes at start <= address < end, zeros where it has none."""
        memory = cls(start, bytes(end - start))
        for va, data in image.pieces(start, end):
            memory.write(va, data)
        return memory

    def read(self, va: int, size: int) -> bytes:
        return bytes(self.data[va - self.base : va - self.base + size])

    def write(self, va: int, data: bytes | bytearray) -> None:
        self.data[va - self.base : va - self.base + len(data)] = data

    def insn(self, va: int) -> Insn | None:
        return decode(self.read(va, 16))


@dataclass
class PatchingState:
    """What the running kernel decides.

    `features` holds the numbers of the capabilities that are set; `pv` maps the
    address of a pointer in pv_ops to the function in it (0: none); `its_thunks` a register to its thunk.
    """

    features: frozenset[int]
    return_thunk: int
    its_return: bool = False
    k8_nops: bool = False
    default_paravirt: bool = False  # pv_ops.init.patch is paravirt_patch_default (5.10)
    uniprocessor: bool = False
    pv: dict[int, int] = field(default_factory=dict)
    its_thunks: dict[int, int] = field(default_factory=dict)


class Facts:
    """Addresses that the patchers know by name; the same for every run.

    `base` is _text, from which offsets count; the code that is checked lies at
    text <= address < etext: the kernel's, or with `bounds` a module's.
    """

    def __init__(self, image: CodeImage, series: Series, bounds: tuple[int, int] | None = None):
        self.image = image
        self.series = series
        self.base = require(image, "_text")
        self.text, self.etext = bounds or (self.base, require(image, "_etext"))
        self.in_module = bounds is not None
        self._accounts: dict[int, bool] = {}  # what accounts() has said
        self.thunks = require(image, "__x86_indirect_thunk_array")
        self.return_thunk = require(image, "__x86_return_thunk")
        self.its_return_thunk = require(image, "its_return_thunk")
        self.pv_ops = require(image, "pv_ops")
        if series.paravirt == "alternatives":
            self.pv_nop, self.pv_bug = require(image, "nop_func"), require(image, "BUG_func")
        else:
            self.pv_nop = require(image, "_paravirt_nop")
            self.pv_bug = 0 if series.native_patch else require(image, "paravirt_BUG")
        self.native = self._native_patches() if series.native_patch else {}
        self.pv_ident = image.symbols.get("_paravirt_ident_64") if series.native_patch else None
        self.pv_iret = self._slot("cpu.iret") if series.native_patch else None

    def _slot(self, member: str) -> int | None:
        try:
            return self.image.btf.offset("struct paravirt_patch_template", member) // 8
        except KeyError:
            return None

    def _native_patches(self) -> dict[int, tuple[bytes, int | None]]:
        """Slot → (instructions, function that must be in it or None): native_patch() of paravirt_patch.c."""
        code = {
            "irq.restore_fl": ("579d", None),
            "irq.save_fl": ("9c58", None),
            "irq.irq_enable": ("fb", None),
            "irq.irq_disable": ("fa", None),
            "mmu.read_cr2": ("0f20d0", None),
            "mmu.read_cr3": ("0f20d8", None),
            "mmu.write_cr3": ("0f22df", None),
            "cpu.wbinvd": ("0f09", None),
            "lock.queued_spin_unlock": ("c60700", "__raw_callee_save___native_queued_spin_unlock"),
            "lock.vcpu_is_preempted": ("31c0", "__raw_callee_save___native_vcpu_is_preempted"),
        }
        found = {}
        for member, (text, function) in code.items():
            slot = self._slot(member)
            if slot is None:
                raise UnsupportedError(f"struct paravirt_patch_template has no {member}")
            found[slot] = (bytes.fromhex(text), require(self.image, function) if function else None)
        return found

    @cached_property
    def skipped_calls(self) -> frozenset[int]:
        """Functions that are called without accounting (skip_addr, callthunks.c)."""
        entries = "error_entry paranoid_entry xen_error_entry __switch_to_asm ret_from_fork"
        names = [*entries.split(), "soft_restart_cpu", "__fentry__"]
        found = {self.image.symbols.get(name) for name in names}
        return frozenset(va for va in found if va is not None)

    def accounts(self, target: int) -> bool:
        """Whether the accounting may be put in front of `target`, by what its file has there (patch_dest)."""
        known = self._accounts.get(target)
        if known is None:
            size = self.call_thunk[1]
            code = target not in self.skipped_calls and self.image.is_code(target)
            known = code and self.image.read(target - size, size) == b"\x90" * size
            self._accounts[target] = known
        return known

    @cached_property
    def call_thunk(self) -> tuple[int, int]:
        """Address and size of skl_call_thunk_template, which is put in front of functions."""
        start = require(self.image, "skl_call_thunk_template")
        end = require(self.image, "skl_call_thunk_tail")
        if not 0 < end - start <= 16:
            raise UnsupportedError(f"the call-depth accounting has {end - start} bytes")
        return start, end - start


def pv_pointers(facts: Facts, sites: Sites) -> list[int]:
    """Addresses of the pointers that paravirt calls go through, sorted."""
    found = {facts.pv_ops + 8 * slot for _, slot, _ in sites.paravirt}
    for alt in sites.alternatives:
        if alt.direct_call:
            old = facts.image.read(alt.instr, 6)
            if old[:2] != b"\xff\x15":
                raise UnsupportedError(f"the paravirt call at {alt.instr:#x} has an unknown form")
            found.add(alt.instr + 6 + int.from_bytes(old[2:], "little", signed=True))
    for pointer in found:
        name = facts.image.symbols.nearest(pointer)
        if name is None or not name[0].startswith("pv_ops"):
            raise UnsupportedError(f"a paravirt call goes through {name and name[0]}, not pv_ops")
    return sorted(found)
