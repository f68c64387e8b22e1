"""A guest that was booted with some modules, and its memory as QEMU saves it; both are in the cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tinyvmi_build.lab import guest
from tinyvmi_build.lab.guest.modules import in_order
from tinyvmi_build.lab.machine.packages import unpacked_kernel, vmlinuz_of
from tinyvmi_build.lab.machine.qemu import Qemu
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import timeout

MEMORY_MIB = 192
#: File name → what dump-guest-memory is asked for; `raw` is pmemsave's.
FORMATS: dict[str, dict[str, object]] = {
    "elf": {"paging": False},
    "paging": {"paging": True},
    "kdump": {"paging": False, "format": "kdump-zlib"},
}


def dumps(package: Path, modules: Sequence[str] = ("dummy", "veth")) -> dict[str, Path]:
    """Format → file, one boot of the kernel in `package` for all of them."""
    kernel = unpacked_kernel(package)
    ramdisk = guest.initramfs(Progress(quiet=True), in_order(kernel, modules))
    key = hashlib.sha256(f"{package.name} {MEMORY_MIB} {FORMATS}".encode() + ramdisk).hexdigest()[:12]
    paths = {name: cache_dir("dumps") / f"qemu-{key}.{name}" for name in ("raw", *FORMATS)}
    if all(path.exists() for path in paths.values()):
        return paths
    with tempfile.TemporaryDirectory(prefix="tinyvmi-qemu.") as name:
        folder = Path(name)
        (folder / "initramfs").write_bytes(ramdisk)
        qemu = Qemu(
            [
                *("-accel", "tcg", "-machine", "pc", "-cpu", "qemu64", "-m", str(MEMORY_MIB)),
                *("-kernel", str(vmlinuz_of(kernel)), "-initrd", str(folder / "initramfs")),
                *("-append", "console=ttyS0 panic=-1"),
            ],
            folder,
        )
        try:
            qemu.start()
            deadline = time.monotonic() + timeout(120)
            while not guest.READY.search(qemu.console_text()):
                assert qemu.alive and time.monotonic() < deadline, qemu.console_text()[-500:]
                time.sleep(0.1)
            qemu.qmp("stop")
            for name, path in paths.items():
                partial = path.with_suffix(f".{name}.{os.getpid()}")
                if name == "raw":
                    qemu.qmp("pmemsave", val=0, size=MEMORY_MIB << 20, filename=str(partial))
                else:
                    qemu.qmp("dump-guest-memory", protocol=f"file:{partial}", **FORMATS[name])
                partial.rename(path)
        finally:
            qemu.stop()
    return paths
