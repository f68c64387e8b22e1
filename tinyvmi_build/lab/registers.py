"""Reads and sets registers of a guest's vCPU, in dom0: what the lab tampers with beside memory.

    python3 -m tinyvmi_build.lab.registers DOMID VCPU NAME           prints the value
    python3 -m tinyvmi_build.lab.registers DOMID VCPU NAME VALUE     sets it, prints what it was

The guest has to be paused.  PVH and HVM guests by their saved context (xen/hvm/save.h:
records of type, instance and length, then the bytes), PV guests by struct vcpu_guest_context.
"""

from __future__ import annotations

import ctypes
import os
import struct

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.script import run_script
from tinyvmi_build.xen.privilege import find_library

_CPU = 2  # HVM_SAVE_TYPE(CPU)
#: Name → (offset in struct hvm_hw_cpu, its size).
HVM = {
    "cr0": (0x290, 8), "cr3": (0x2A0, 8), "cr4": (0x2A8, 8), "dr0": (0x2B0, 8), "dr7": (0x2D8, 8),
    "idt.limit": (0x320, 4), "idt.base": (0x368, 8), "sysenter.eip": (0x3A8, 8),
    "lstar": (0x3C0, 8), "star": (0x3C8, 8), "cstar": (0x3D0, 8), "sfmask": (0x3D8, 8), "efer": (0x3E0, 8),
}  # fmt: skip
#: Name → offset in struct vcpu_guest_context of x86-64.
PV = {
    "trap4": 720 + 4 * 16 + 8, "cr0": 4984, "cr3": 5008, "cr4": 5016, "dr0": 5048, "dr7": 5104,
    "callback.event": 5112, "callback.failsafe": 5120, "callback.syscall": 5128,
}  # fmt: skip
_PV_SIZE = 5168


class Registers:
    """Of vCPU `vcpu` of domain `domid`; `pv` as the guest is."""

    def __init__(self, domid: int, vcpu: int):
        self._domid, self._vcpu = domid, vcpu
        self._xc = ctypes.CDLL(find_library("libxenctrl"), use_errno=True)
        self._xc.xc_interface_open.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(self._xc.xc_interface_open(None, None, 0))
        size = self._xc.xc_domain_hvm_getcontext(self._handle, domid, None, 0)
        self.pv = size <= 0
        self._context = ctypes.create_string_buffer(_PV_SIZE if self.pv else size)
        if self.pv:
            self._ask(self._xc.xc_vcpu_getcontext(self._handle, domid, vcpu, self._context))
        else:
            self._ask(self._xc.xc_domain_hvm_getcontext(self._handle, domid, self._context, size))

    def get(self, name: str) -> int:
        at, size = self._location(name)
        return int.from_bytes(self._context.raw[at : at + size], "little")

    def set(self, name: str, value: int) -> int:
        """What it was."""
        before = self.get(name)
        at, size = self._location(name)
        ctypes.memmove(ctypes.addressof(self._context) + at, value.to_bytes(size, "little"), size)
        if self.pv:
            done = self._xc.xc_vcpu_setcontext(self._handle, self._domid, self._vcpu, self._context)
        else:
            length = len(self._context)
            done = self._xc.xc_domain_hvm_setcontext(self._handle, self._domid, self._context, length)
        self._ask(done)
        return before

    def _location(self, name: str) -> tuple[int, int]:
        if self.pv:
            if name not in PV:
                raise UsageError(f"no register '{name}' of a PV guest", hint=f"there are {', '.join(PV)}")
            return PV[name], 8
        if name not in HVM:
            raise UsageError(f"no register '{name}'", hint=f"there are {', '.join(HVM)}")
        at, size = HVM[name]
        return self._record() + at, size

    def _record(self) -> int:
        at = 0
        while at + 8 <= len(self._context):
            kind, instance, length = struct.unpack_from("<HHI", self._context, at)
            if (kind, instance) == (_CPU, self._vcpu):
                return at + 8
            if kind == 0:
                break
            at += 8 + length
        raise MissingEnvironmentError(f"domain {self._domid} has no vCPU {self._vcpu}")

    def _ask(self, result: int) -> None:
        if result < 0:
            why = os.strerror(ctypes.get_errno())
            raise MissingEnvironmentError(f"registers of domain {self._domid}: {why}")


def main(argv: list[str]) -> int:
    domid, vcpu, name, *value = argv
    registers = Registers(int(domid), int(vcpu))
    print(f"{registers.set(name, int(value[0], 0)) if value else registers.get(name):#x}")
    return 0


if __name__ == "__main__":
    run_script(main, usage=__doc__)
