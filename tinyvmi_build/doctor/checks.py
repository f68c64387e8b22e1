"""The rows of `doctor`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import multiprocessing
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.doctor import probe
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.toolchain import XEN_HEADER
from tinyvmi_build.paths import cache_dir

_DISK_GIB = 3  # packages, unpacked kernels and initramfs of the lab
_MEMORY_GIB = 4  # the lab's machine has 3, and a little for QEMU


@dataclass(frozen=True)
class Row:
    """One requirement.  `status`: ok, missing (and required), absent (and optional)."""

    id: str
    status: str
    found: str
    needed: str
    fix: str


def rows() -> list[Row]:
    """Look at everything; the probes of QEMU take a second or two."""
    return [
        _version("python", platform.python_version(), "3.11", "apt-get install python3 python3-venv"),
        *_python_packages(),
        _program("gcc", ["gcc", "-dumpfullversion"], "10", "apt-get install gcc"),
        _program("ld", ["ld", "--version"], "2.35", "apt-get install binutils"),
        _program("strip", ["strip", "--version"], "2.35", "apt-get install binutils"),
        _xen_headers(),
        _optional("make", ["make", "--version"], "4", "apt-get install make: only minios.tree needs it"),
        _optional("git", ["git", "--version"], "2.20", "apt-get install git: only minios.tree needs it"),
        _program("apt-get", ["apt-get", "--version"], "2", "the lab needs Debian's apt"),
        _program("dpkg-deb", ["dpkg-deb", "--version"], "1.20", "the lab needs Debian's dpkg"),
        *_qemu(),
        _disk(),
        _memory(),
        _shared_memory(),
        _dom0(),
    ]


def _python_packages() -> list[Row]:
    result = []
    try:
        requirements = importlib.metadata.requires("tinyvmi-build") or []
    except importlib.metadata.PackageNotFoundError:  # run from a copy of its folder, as in the lab's dom0
        return []
    for requirement in requirements:
        match = re.fullmatch(r"([A-Za-z0-9_-]+)>=([0-9.]+)", requirement)
        if not match:  # the extras for tests
            continue
        name, needed = match.groups()
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = ""
        result.append(_version(name, found, needed, f"pip install '{name}>={needed}'"))
    return result


def _program(name: str, command: list[str], needed: str, fix: str) -> Row:
    return _version(name, _output(command), needed, fix)


def _optional(name: str, command: list[str], needed: str, fix: str) -> Row:
    row = _program(name, command, needed, fix)
    return row if row.status == "ok" else dataclasses.replace(row, status="absent")


def _output(command: list[str]) -> str:
    """The first version number that the command prints; "" if it does not run."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"[0-9]+(\.[0-9]+)+", re.sub(r"\(.*?\)", "", done.stdout))
    return match[0] if done.returncode == 0 and match else ""


def _version(name: str, found: str, needed: str, fix: str) -> Row:
    good = bool(found) and _numbers(found) >= _numbers(needed)
    return Row(name, "ok" if good else "missing", found or "none", f">= {needed}", "" if good else fix)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", version)[:3]]


def _xen_headers() -> Row:
    there = XEN_HEADER.is_file()
    version = _output(["dpkg-query", "-W", "-f", "${Version}", "libxen-dev"]) if there else ""
    fix = "" if there else "apt-get install libxen-dev"
    return Row(
        "xen-headers",
        "ok" if there else "missing",
        version or ("yes" if there else "none"),
        str(XEN_HEADER),
        fix,
    )


def _qemu() -> list[Row]:
    qemu = shutil.which("qemu-system-x86_64") or ""
    fix = "apt-get install qemu-system-x86"
    row = _program("qemu", [qemu or "qemu-system-x86_64", "--version"], "7", fix)
    if row.status != "ok":
        return [row]
    result = [row]
    for accelerator, status, fix in (
        ("tcg", "missing", "apt-get install --reinstall qemu-system-x86 seabios"),
        ("kvm", "absent", "nothing to do: the lab uses TCG"),
    ):
        good, seen = probe.boot(qemu, accelerator)
        result.append(Row(accelerator, "ok" if good else status, seen, "boots a guest", "" if good else fix))
    return result


def _disk() -> Row:
    try:
        folder = cache_dir()
    except MissingEnvironmentError as error:
        return Row("disk", "missing", "no cache", f">= {_DISK_GIB} GiB", f"{error.message}: {error.hint}")
    free = shutil.disk_usage(folder).free / 2**30
    return _amount("disk", free, _DISK_GIB, f"make room in {folder}, or set TINYVMI_CACHE")


def _memory() -> Row:
    match = re.search(r"MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")))
    return _amount("memory", int(match[1]) / 2**20 if match else 0, _MEMORY_GIB, "the lab's machine needs it")


def _shared_memory() -> Row:
    """Whether processes can share locks, which lie in /dev/shm."""
    try:
        multiprocessing.get_context("fork").Lock()
        problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    fix = "mount -t tmpfs tmpfs /dev/shm: without it modules are read one at a time"
    return Row(
        "shared-memory", "absent" if problem else "ok", problem or "yes", "/dev/shm", fix if problem else ""
    )


def _amount(name: str, found: float, needed: int, fix: str) -> Row:
    good = found >= needed
    return Row(
        name, "ok" if good else "missing", f"{found:.1f} GiB free", f">= {needed} GiB", "" if good else fix
    )


def _dom0() -> Row:
    """Whether `launch` would work right here."""
    good = "control_d" in _read(Path("/proc/xen/capabilities")) and shutil.which("xl") is not None
    fix = "" if good else "only launch needs it; `lab run` brings a Xen of its own"
    return Row(
        "dom0", "ok" if good else "absent", "yes" if good else "this is no dom0", "Xen >= 4.14 with xl", fix
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
