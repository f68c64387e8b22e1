"""Runs in dom0: `processor_time.py DOMID` prints the nanoseconds of processor time that vCPU 0 has used.

xl tells tenths of a second; Xen's count is struct xen_domctl_getvcpuinfo (public/domctl.h): vcpu, three
flags of a byte, cpu_time.
"""

from __future__ import annotations

import ctypes
import struct
import sys

from tinyvmi_build.xen.privilege import find_library


def main(domid: int) -> None:
    library = ctypes.CDLL(find_library("libxenctrl"), use_errno=True)
    library.xc_interface_open.restype = ctypes.c_void_p
    library.xc_interface_open.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
    library.xc_vcpu_getinfo.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p]
    info = ctypes.create_string_buffer(64)
    if library.xc_vcpu_getinfo(library.xc_interface_open(None, None, 0), domid, 0, info):
        raise SystemExit(f"no domain {domid}: error {ctypes.get_errno()}")
    print(struct.unpack_from("<Q", info.raw, 8)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
