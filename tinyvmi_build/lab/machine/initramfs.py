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

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.kernel.ko import unpacked
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine import python
from tinyvmi_build.lab.machine.cpio import Archive
from tinyvmi_build.lab.machine.libraries import closure
from tinyvmi_build.lab.machine.packages import (
    SUITE,
    XEN_VERSIONS,
    fetch_kernel,
    fetch_packages,
    unpack,
    unpacked_kernel,
    vmlinuz_of,
)
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

_XEN_PACKAGES = [
    "xen-utils-{version}", "xenstore-utils", "libxenmisc{version}", "libxenstore{store}", "libxencall1",
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
_OPENED = ["libgcc_s.so.1", "libxenctrl.so.{version}", "libxenforeignmemory.so.1"]
_STORE = {"bullseye": "3.0"}  # the version in libxenstore's package name; 4 since
# The libraries are bookworm's here: its Python needs them, and the older programs run with them.
_OLD = ("bullseye",)
_LAB_IN_DOM0 = ["__init__.py", "memory.py", "registers.py", "dom0"]
_DIST = "usr/lib/python3/dist-packages"


def dom0_kernel(progress: Progress | None = None, suite: str = SUITE) -> Path:
    """vmlinuz of dom0: `suite`'s generic kernel (the cloud one has no dom0 support)."""
    return vmlinuz_of(unpacked_kernel(fetch_kernel("linux-image-amd64", suite, progress)))


def base(progress: Progress, suite: str = SUITE) -> Path:
    """The base archive with `suite`'s Xen tools, built if no cached one has these package versions."""
    root = _packages(progress, suite)
    kernel = unpacked_kernel(fetch_kernel("linux-image-amd64", suite, progress))
    inputs = [(root / ".packages").read_text(), kernel.name, str(guest.busybox(progress))]
    here = Path(__file__).parent
    recipe = b"".join((here / name).read_bytes() for name in ("initramfs.py", "python.py", "cpio.py"))
    key = hashlib.sha256("\n".join(inputs).encode() + recipe).hexdigest()[:16]
    result = cache_dir("initramfs") / f"{suite}-{key}.cpio"
    if not result.exists():
        with progress.step("assemble dom0's root file system"):
            archive = _assemble(root, kernel, suite, progress)
            partial = result.with_suffix(f".{os.getpid()}")
            with open(partial, "wb") as out:
                archive.write(out)
            partial.rename(result)
            for old in set(result.parent.glob(f"{suite}-*.cpio")) - {result}:
                old.unlink(missing_ok=True)
    return result


def _packages(progress: Progress, suite: str = SUITE) -> Path:
    """The folder in which everything of dom0 but kernel and busybox is unpacked: Python is bookworm's."""
    names = {"version": XEN_VERSIONS[suite], "store": _STORE.get(suite, "4")}
    debs = [
        *fetch_packages(python.PACKAGES, progress=progress).values(),
        *fetch_packages(_LIBRARY_PACKAGES, SUITE if suite in _OLD else suite, progress).values(),
        *fetch_packages([name.format(**names) for name in _XEN_PACKAGES], suite, progress).values(),
    ]
    return unpack(debs, cache_dir("unpacked") / f"dom0-{suite}")


def _assemble(root: Path, kernel: Path, suite: str, progress: Progress) -> Archive:
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

    version = XEN_VERSIONS[suite]
    xen = f"usr/lib/xen-{version}"
    programs = [root / xen / "bin" / name for name in _XEN_PROGRAMS]
    programs.append(root / xen / "bin/libxl-save-helper")
    programs += [root / "usr/bin" / name for name in _XENSTORE_PROGRAMS]
    interpreter = root / f"usr/bin/python{python.VERSION}"
    for path in programs:
        archive.file(str(path.relative_to(root)), path, 0o755)
    for name in _XEN_PROGRAMS:
        archive.symlink(f"usr/sbin/{name}", f"../lib/xen-{version}/bin/{name}")
    archive.file("usr/bin/python3", interpreter, 0o755)

    extensions = python.extensions(root)
    opened = [name.format(version=version) for name in _OPENED]
    for soname, path in closure(root, [*programs, interpreter, *extensions], opened).items():
        folder = "usr/lib64" if soname.startswith("ld-linux") else "usr/lib/x86_64-linux-gnu"
        archive.file(f"{folder}/{soname}", path, 0o755)
    for path in extensions:
        archive.file(str(path.relative_to(root)), path)
    with tempfile.TemporaryDirectory(prefix="tinyvmi-python.") as name:
        python.library(root, Path(name) / "lib")
        _add_contents(archive, python.LIBRARY, Path(name) / "lib")

    for name in _MODULES:
        found = list(kernel.glob(f"**/lib/modules/*/kernel/drivers/xen/**/{name}.ko*"))
        if len(found) != 1:
            raise MissingEnvironmentError(
                f"{kernel.name} has {len(found)} modules {name}.ko, one was expected"
            )
        archive.file(f"usr/lib/modules/{name}.ko", unpacked(found[0].read_bytes(), found[0].name))
    return archive


def overlay(files: Mapping[str, Path | bytes], progress: Progress, suite: str = SUITE) -> bytes:
    """The archive of one run: this project's dom0 side, click, and `files` (path in dom0 → content)."""
    archive = Archive()
    package = Path(__file__).resolve().parent.parent.parent
    spec = find_spec("click")
    if spec is None or spec.origin is None:
        raise MissingEnvironmentError("the Python package click is missing", hint="pip install click")
    with tempfile.TemporaryDirectory(prefix="tinyvmi-overlay.") as temporary:
        tree = Path(temporary)
        ours = tree / "tinyvmi_build"
        _copy(package, ours, "_data", "lab")
        for name in _LAB_IN_DOM0:
            _copy(package / "lab" / name, ours / "lab" / name)
        _copy(Path(spec.origin).parent, tree / "click")
        python.compile_tree(_packages(progress, suite), tree)
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
