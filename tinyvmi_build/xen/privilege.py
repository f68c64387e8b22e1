"""Target mode: one domain may act on one other (XEN_DOMCTL_set_target), by a call into libxenctrl.

xl has no verb for it.  The function is the same in all versions of Xen
in question: `int xc_domain_set_target(xc_interface *, uint32_t domid, uint32_t target)` (xenctrl.h).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError

_FOLDERS = (
    "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib", "usr/local/lib64",
    "usr/lib/xen-*/lib/x86_64-linux-gnu", "usr/lib/xen-*/lib",
)  # fmt: skip


def find_library(name: str) -> str:
    """Path of the library `name` (`libxenctrl`) of any Xen version, or MissingEnvironmentError."""
    for folder in _FOLDERS:
        found = sorted(Path("/").glob(f"{folder}/{name}.so.*"), key=lambda path: (len(path.name), path.name))
        if found:
            return str(found[0])
    raise MissingEnvironmentError(f"{name} is missing", hint="in dom0: apt-get install xen-utils")


def set_target(domid: int, target: int) -> None:
    """Let domain `domid` act on domain `target`; MissingEnvironmentError if Xen refuses."""
    library = ctypes.CDLL(find_library("libxenctrl"), use_errno=True)
    library.xc_interface_open.restype = ctypes.c_void_p
    library.xc_interface_open.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
    library.xc_interface_close.argtypes = [ctypes.c_void_p]
    library.xc_domain_set_target.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
    handle = library.xc_interface_open(None, None, 0)
    if not handle:
        raise MissingEnvironmentError(
            f"Xen's privileged interface cannot be opened: {os.strerror(ctypes.get_errno())}",
            hint="in dom0: modprobe xen-privcmd; run as root",
        )
    try:
        if library.xc_domain_set_target(handle, domid, target) != 0:
            raise _refused(target, ctypes.get_errno())
    finally:
        library.xc_interface_close(handle)


def _refused(target: int, number: int) -> MissingEnvironmentError:
    reasons = {
        errno.EOPNOTSUPP: ("it is a PV domain", "target mode is for PVH and HVM guests; PV needs FLASK"),
        errno.ESRCH: ("there is no such domain", "has the target ended meanwhile? `xl list` shows it"),
        errno.EPERM: ("permission denied", "run launch in dom0 as root"),
        errno.EACCES: ("the FLASK policy forbids it", "load a policy that allows it, or use FLASK mode"),
        errno.EINVAL: ("the monitor has a target already", "destroy the monitor's domain and launch again"),
    }
    why, hint = reasons.get(number, (os.strerror(number), "see `xl dmesg`"))
    return MissingEnvironmentError(f"Xen refuses privilege over domain {target}: {why}", hint=hint)
