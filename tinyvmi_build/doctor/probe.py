"""Does an accelerator of QEMU really run a guest?  Only one that has run can tell.

/dev/kvm may exist and open, and the guest still stop at its first instruction.
The guest here is a multiboot kernel of a few instructions which ends QEMU with
a status of its own (device isa-debug-exit: value v gives status 2v + 1).
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
import time
from pathlib import Path

_LOAD = 0x100000
_PORT = 0xF4
_VALUE = 0x21
_EXPECTED = 2 * _VALUE + 1
_MAGIC = 0x1BADB002  # Multiboot Specification 0.6.96, 3.1.1
_EHDR, _PHDR = 52, 32  # sizes in ELF32


def kernel() -> bytes:
    """An ELF32 for i386 with a multiboot header; at its entry it writes to the exit device and halts."""
    multiboot = struct.pack("<III", _MAGIC, 0, -_MAGIC & 0xFFFFFFFF)
    code = bytes([0xB0, _VALUE, 0xE6, _PORT, 0xF4, 0xEB, 0xFD])  # mov al,VALUE; out PORT,al; 1: hlt; jmp 1b
    body = multiboot + code
    offset = _EHDR + _PHDR
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    entry = _LOAD + len(multiboot)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, _EHDR, 0, 0, _EHDR, _PHDR, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, offset, _LOAD, _LOAD, len(body), len(body), 5, 4)
    return header + segment + body


def boot(qemu: str, accelerator: str, timeout_s: float = 30) -> tuple[bool, str]:
    """Run the kernel; (whether it ran to its end, what was seen in one line)."""
    with tempfile.TemporaryDirectory(prefix="tinyvmi-probe-") as folder:
        image = Path(folder) / "probe.elf"
        image.write_bytes(kernel())
        command = [qemu, "-accel", accelerator, "-m", "16", "-nodefaults", "-display", "none", "-no-reboot"]
        command += ["-device", f"isa-debug-exit,iobase={_PORT:#x},iosize=1", "-kernel", str(image)]
        start = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            return False, f"the guest did not end within {timeout_s:g} s"
        except OSError as error:
            return False, f"{qemu}: {error.strerror}"
    if done.returncode == _EXPECTED:
        return True, f"booted a guest in {time.monotonic() - start:.1f} s"
    said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return False, f"the guest did not run: {said[:160]}"
