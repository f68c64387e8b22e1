"""dom0's root file system: a base archive from Debian packages (cached) and an overlay for one run.

Linux unpacks concatenated archives one after the other, so the base is built
once for a set of package versions and the overlay carries what changes: this
project's code and what the run brings.  Both are uncompressed: decompression
is slow under emulation.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..errors import MissingEnvironment
from ..paths import cache_dir
from ..progress import Progress
from . import guest, python
from .cpio import Archive
from .libraries import closure
from .packages import XEN_VERSION, fetch_kernel, fetch_packages, unpack, unpacked_kernel, vmlinuz_of

_XEN_PACKAGES = [
    f"xen-utils-{XEN_VERSION}", "xenstore-utils", f"libxenmisc{XEN_VERSION}", "libxenstore4", "libxencall1",
    "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1", "libxentoolcore1", "libxentoollog1",
    "libxendevicemodel1", "libxenhypfs1",
]  # fmt: skip
_LIBRARY_PACKAGES = [
    "libc6", "libgcc-s1", "zlib1g", "libyajl2", "liblzma5", "libexpat1", "libuuid1", "libnl-3-200",
    "libnl-route-3-200", "libzstd1", "libbz2-1.0", "libffi8",
]  # fmt: skip
_XEN_PROGRAMS = ["xl", "xenstored", "xenconsoled", "xenconsole", "xen-init-dom0", "xenctx"]
_XENSTORE_PROGRAMS = [f"xenstore-{verb}" for verb in ("read", "write", "list", "ls", "rm", "watch")]
_MODULES = ["xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs"]  # in this order
_OPENED = ["libgcc_s.so.1", "libxenctrl.so.4.17", "libxenforeignmemory.so.1"]
_LAB_IN_DOM0 = ["__init__.py", "memory.py", "registers.py", "dom0"]
_DIST = "usr/lib/python3/dist-packages"


def dom0_kernel(progress: Progress | None = None) -> Path:
    """vmlinuz of dom0: the generic kernel (the cloud one has no dom0 support)."""
    return vmlinuz_of(unpacked_kernel(fetch_kernel("linux-image-amd64", progress=progress)))


def base(progress: Progress) -> Path:
    """The base archive, built if no cached one has these package versions."""
    root = _packages(progress)
    kernel = unpacked_kernel(fetch_kernel("linux-image-amd64", progress=progress))
    inputs = [(root / ".packages").read_text(), kernel.name, str(guest.busybox(progress))]
    here = Path(__file__).parent
    recipe = b"".join((here / name).read_bytes() for name in ("initramfs.py", "python.py", "cpio.py"))
    key = hashlib.sha256("\n".join(inputs).encode() + recipe).hexdigest()[:16]
    result = cache_dir("initramfs") / f"dom0-{key}.cpio"
    if not result.exists():
        with progress.step("assemble dom0's root file system"):
            archive = _assemble(root, kernel, progress)
            partial = result.with_suffix(f".{os.getpid()}")
            with open(partial, "wb") as out:
                archive.write(out)
            partial.rename(result)
            for old in set(result.parent.glob("dom0-*.cpio")) - {result}:
                old.unlink(missing_ok=True)
    return result


def _packages(progress: Progress) -> Path:
    """The folder in which everything of dom0 but kernel and busybox is unpacked."""
    debs = fetch_packages([*_XEN_PACKAGES, *_LIBRARY_PACKAGES, *python.PACKAGES], progress=progress)
    return unpack(list(debs.values()), cache_dir("unpacked") / "dom0")


def _assemble(root: Path, kernel: Path, progress: Progress) -> Archive:
    archive = Archive()
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "var/lib/xen", "var/log/xen/console"):
        archive.directory(name)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.directory(f"usr/{name}")
        archive.symlink(name, f"usr/{name}")
    archive.symlink("var/run", "../run")
    archive.symlink("var/lock", "../run/lock")
    archive.file("etc/xen/xl.conf", "")
    archive.device("dev/console", 5, 1)
    archive.file("usr/bin/busybox", guest.busybox(progress), 0o755)
    archive.symlink("usr/bin/sh", "busybox")

    xen = f"usr/lib/xen-{XEN_VERSION}"
    programs = [root / xen / "bin" / name for name in _XEN_PROGRAMS]
    programs.append(root / xen / "bin/libxl-save-helper")
    programs += [root / "usr/bin" / name for name in _XENSTORE_PROGRAMS]
    interpreter = root / f"usr/bin/python{python.VERSION}"
    for path in programs:
        archive.file(str(path.relative_to(root)), path, 0o755)
    for name in _XEN_PROGRAMS:
        archive.symlink(f"usr/sbin/{name}", f"../lib/xen-{XEN_VERSION}/bin/{name}")
    archive.file("usr/bin/python3", interpreter, 0o755)

    extensions = python.extensions(root)
    for soname, path in closure(root, [*programs, interpreter, *extensions], _OPENED).items():
        folder = "usr/lib64" if soname.startswith("ld-linux") else "usr/lib/x86_64-linux-gnu"
        archive.file(f"{folder}/{soname}", path, 0o755)
    for path in extensions:
        archive.file(str(path.relative_to(root)), path)
    with tempfile.TemporaryDirectory(prefix="tinyvmi-python.") as name:
        python.library(root, Path(name) / "lib")
        _add_contents(archive, python.LIBRARY, Path(name) / "lib")

    for name in _MODULES:
        found = list(kernel.glob(f"lib/modules/*/kernel/drivers/xen/**/{name}.ko"))
        if len(found) != 1:
            raise MissingEnvironment(f"{kernel.name} has {len(found)} modules {name}.ko, one was expected")
        archive.file(f"usr/lib/modules/{name}.ko", found[0])
    return archive


def overlay(files: Mapping[str, Path | bytes], progress: Progress) -> bytes:
    """The archive of one run: this project's dom0 side, click, and `files` (path in dom0 → content)."""
    archive = Archive()
    package = Path(__file__).resolve().parent.parent
    spec = find_spec("click")
    if spec is None or spec.origin is None:
        raise MissingEnvironment("the Python package click is missing", hint="pip install click")
    with tempfile.TemporaryDirectory(prefix="tinyvmi-overlay.") as temporary:
        tree = Path(temporary)
        ours = tree / "tinyvmi_build"
        _copy(package, ours, "_data", "lab")
        for name in _LAB_IN_DOM0:
            _copy(package / "lab" / name, ours / "lab" / name)
        _copy(Path(spec.origin).parent, tree / "click")
        python.compile_tree(_packages(progress), tree)
        _add_contents(archive, _DIST, tree)
    dom0 = package / "lab" / "dom0"
    archive.file("init", dom0 / "init.sh", 0o755)
    archive.file("usr/bin/tinyvmi-build", dom0 / "tinyvmi-build.sh", 0o755)
    for path, content in files.items():
        archive.file(path.lstrip("/"), content)
    out = io.BytesIO()
    archive.write(out)
    return out.getvalue()


def _copy(source: Path, target: Path, *without: str) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *without))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _add_contents(archive: Archive, where: str, tree: Path) -> None:
    """Add the tree with its contents read now: it is about to be deleted."""
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            archive.file(f"{where}/{path.relative_to(tree)}", path.read_bytes())
