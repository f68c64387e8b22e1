"""Reads and writes a guest's physical memory, in dom0: for the agent, and by hand from `lab shell`:

    python3 -m tinyvmi_build.lab.memory read DOMID ADDRESS LENGTH     prints the bytes in hex
    python3 -m tinyvmi_build.lab.memory write DOMID ADDRESS HEX       prints the bytes that were there, in hex

The lab tampers with this.  Addresses are the guest's physical ones; its pages
are mapped with libxenforeignmemory (xenforeignmemory.h), one at a time.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.script import run_script
from tinyvmi_build.xen.privilege import find_library

_PAGE = 4096


class GuestMemory:
    """The memory of domain `domid`.  A context manager."""

    def __init__(self, domid: int):
        self._domid = domid
        self._library = ctypes.CDLL(find_library("libxenforeignmemory"), use_errno=True)
        self._library.xenforeignmemory_open.restype = ctypes.c_void_p
        self._library.xenforeignmemory_open.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        self._library.xenforeignmemory_close.argtypes = [ctypes.c_void_p]
        self._library.xenforeignmemory_map.restype = ctypes.c_void_p
        self._library.xenforeignmemory_map.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_ulong),
            ctypes.POINTER(ctypes.c_int),
        ]
        self._library.xenforeignmemory_unmap.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._handle = self._library.xenforeignmemory_open(None, 0)
        if not self._handle:
            raise MissingEnvironmentError(f"foreign memory: {os.strerror(ctypes.get_errno())}")

    def __enter__(self) -> GuestMemory:
        return self

    def __exit__(self, *exception: object) -> None:
        self._library.xenforeignmemory_close(self._handle)

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes at physical `address`; MissingEnvironmentError if a page is not there."""
        return self._visit(address, length, None)

    def write(self, address: int, data: bytes) -> bytes:
        """Put `data` at physical `address`; the bytes that were there."""
        return self._visit(address, len(data), data)

    def _visit(self, address: int, length: int, data: bytes | None) -> bytes:
        before = bytearray()
        while len(before) < length:
            at = address + len(before)
            offset = at % _PAGE
            count = min(length - len(before), _PAGE - offset)
            page = self._map(at // _PAGE, writable=data is not None)
            try:
                start = len(before)
                before += ctypes.string_at(page + offset, count)
                if data is not None:
                    ctypes.memmove(page + offset, data[start : start + count], count)
            finally:
                self._library.xenforeignmemory_unmap(self._handle, page, 1)
        return bytes(before)

    def _map(self, gfn: int, writable: bool) -> int:
        frames, errors = (ctypes.c_ulong * 1)(gfn), (ctypes.c_int * 1)()
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        page = self._library.xenforeignmemory_map(self._handle, self._domid, protection, 1, frames, errors)
        if not page:
            raise MissingEnvironmentError(f"domain {self._domid}: {os.strerror(ctypes.get_errno())}")
        if errors[0]:
            self._library.xenforeignmemory_unmap(self._handle, page, 1)
            why = os.strerror(-errors[0])
            raise MissingEnvironmentError(f"domain {self._domid} has no frame {gfn:#x} ({why})")
        return int(page)


def main(argv: list[str]) -> int:
    operation, domid, address, last = argv
    number, start = int(domid), int(address, 0)
    with GuestMemory(number) as memory:
        if operation == "read":
            print(memory.read(start, int(last, 0)).hex())
        elif operation == "write":
            print(memory.write(start, bytes.fromhex(last)).hex())
        else:
            raise UsageError(f"no operation '{operation}'")
    return 0


if __name__ == "__main__":
    run_script(main, usage=__doc__)
