"""Debian packages as files: fetched into a cache, unpacked, never installed.

Installing Xen would hook the host's boot loader, and a kernel that is checked
need not be the one that runs.  Safe for parallel use: one lock a suite.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.apt import Apt, Candidate
from tinyvmi_build.lab.machine.links import confine
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

SUITE = "bookworm"
_LAYOUT = "links confined\n"  # of unpacked folders: those of other versions of this tool are made anew
#: Suites whose Xen the lab can boot, and its version: it names packages and the private library folder.
XEN_VERSIONS = {"bullseye": "4.14", "bookworm": "4.17", "trixie": "4.20"}


def fetch_packages(
    names: Iterable[str], suite: str = SUITE, progress: Progress | None = None
) -> dict[str, Path]:
    """Name → .deb of each package's candidate version in `suite`, downloaded only if the cache lacks it.

    Raises MissingEnvironmentError if a package is unknown or cannot be had.
    """
    progress = progress or Progress()
    wanted = list(dict.fromkeys(names))
    store = cache_dir("packages", suite)
    with _locked(store, progress):
        apt = Apt(suite, progress)
        trouble = apt.update()
        if trouble:
            progress.warn(f"package lists of {suite} were not refreshed: {trouble}")
        return _fetch(apt, wanted, store, progress)


def fetch_source(name: str, suite: str = SUITE, progress: Progress | None = None) -> Path:
    """The upstream archive (`NAME_VERSION.orig.tar.*`) of a source package.

    Raises MissingEnvironmentError if it cannot be had.
    """
    progress = progress or Progress()
    store = cache_dir("sources", suite, name)
    with _locked(store, progress):
        found = sorted(store.glob(f"{name}_*.orig.tar.*"))
        if not found:
            apt = Apt(suite, progress, sources=True)
            trouble = apt.update() or apt.source(name, store)
            found = sorted(store.glob(f"{name}_*.orig.tar.*"))
            if not found:
                raise MissingEnvironmentError(f"the source of {name} ({suite}) cannot be fetched: {trouble}")
    return found[-1]


def fetch_kernel(
    metapackage: str = "linux-image-cloud-amd64", suite: str = SUITE, progress: Progress | None = None
) -> Path:
    """The .deb with the vmlinuz of the kernel that `metapackage` names today.

    Its modules lie in it, or in a package beside it: `parts_of` has them all.
    Without a network it is the one that was fetched last, with a note.
    """
    progress = progress or Progress()
    store = cache_dir("packages", suite)
    memory = store / f"{metapackage}.last"
    try:
        with _locked(store, progress):
            apt = Apt(suite, progress)
            trouble = apt.update()
            if trouble:
                progress.warn(f"package lists of {suite} were not refreshed: {trouble}")
            name = _kernel_package(apt, metapackage)
            names = [name, *([_modules_package(name)] if _modules_package(name) else [])]
            deb = _fetch(apt, names, store, progress)[name]
            memory.write_text(deb.name + "\n")
            return deb
    except MissingEnvironmentError as error:
        with contextlib.suppress(OSError):
            deb = store / memory.read_text().strip()
            if deb.is_file():
                progress.warn(f"{error.message}; using {deb.name} from the cache")
                return deb
        raise


def extract(archive: tarfile.TarFile, into: Path, members: list[tarfile.TarInfo]) -> None:
    """Put `members` below `into`; nothing goes elsewhere if Python can see to that (3.11.2 cannot)."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(into, members, filter="data")
    else:
        archive.extractall(into, members)


def unpack(debs: Iterable[Path], into: Path) -> Path:
    """Unpack `debs` over one another into `into`, unless the same ones lie there already; returns `into`.

    Links lead to where they would if `into` were the root of a machine.
    """
    listing = _LAYOUT + "".join(f"{deb.name} {deb.stat().st_size}\n" for deb in debs)
    into.parent.mkdir(parents=True, exist_ok=True)
    stamp = into / ".packages"
    with _locked(into.parent, Progress()):
        if stamp.exists() and stamp.read_text() == listing:
            return into
        fresh = Path(tempfile.mkdtemp(prefix=f"{into.name}.", dir=into.parent))
        try:
            for deb in debs:
                result = subprocess.run(
                    ["dpkg-deb", "-x", str(deb), str(fresh)], capture_output=True, text=True, check=False
                )
                if result.returncode:
                    raise MissingEnvironmentError(
                        f"cannot unpack {deb}: {result.stderr.strip()}", hint="delete that file and try again"
                    )
            confine(fresh)
            (fresh / ".packages").write_text(listing)
            if into.exists():
                shutil.rmtree(into)
            fresh.rename(into)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return into


def parts_of(deb: Path) -> list[Path]:
    """The kernel package `deb` and, where Debian splits a kernel (since 7.x), the one with its modules."""
    modules = deb.with_name(_modules_package(deb.name) or deb.name)
    return [deb, modules] if modules != deb and modules.is_file() else [deb]


def unpacked_kernel(deb: Path) -> Path:
    """The folder into which the kernel package `deb` is unpacked, with its modules."""
    return unpack(parts_of(deb), cache_dir("unpacked") / deb.stem)


def vmlinuz_of(folder: Path) -> Path:
    """The one vmlinuz in an unpacked kernel package (Debian moved it from boot/ to usr/lib/modules/)."""
    found = [*folder.glob("boot/vmlinuz-*"), *folder.glob("usr/lib/modules/*/vmlinuz")]
    if len(found) != 1:
        raise MissingEnvironmentError(f"{folder} holds {len(found)} kernels, one was expected")
    return found[0]


def xen_hypervisor(progress: Progress | None = None, suite: str = SUITE) -> Path:
    """The ELF file of `suite`'s Xen, decompressed: what QEMU's multiboot loader takes."""
    folder = _xen_folder(progress, suite)
    elf = folder / "xen.elf"
    if not elf.exists():
        packed = folder / "boot" / f"xen-{XEN_VERSIONS[suite]}-amd64.gz"
        if not packed.exists():
            raise MissingEnvironmentError(f"{folder.name} holds no {packed.relative_to(folder)}")
        partial = elf.with_suffix(f".{os.getpid()}")
        partial.write_bytes(gzip.decompress(packed.read_bytes()))
        partial.rename(elf)
    return elf


def packaged_xen_config(progress: Progress | None = None, suite: str = SUITE) -> Path:
    """The configuration (.config) of the hypervisor in `suite`'s package."""
    return _xen_folder(progress, suite) / "boot" / f"xen-{XEN_VERSIONS[suite]}-amd64.config"


def _xen_folder(progress: Progress | None, suite: str) -> Path:
    name = f"xen-hypervisor-{XEN_VERSIONS[suite]}-amd64"
    deb = fetch_packages([name], suite, progress)[name]
    return unpack([deb], cache_dir("unpacked") / deb.stem)


def _kernel_package(apt: Apt, metapackage: str) -> str:
    """Follow dependencies to the package that carries vmlinuz.

    A metapackage depends on `linux-image-VERSION-FLAVOUR`; since Debian's 7.x
    that one is a metapackage too, for `linux-binary-VERSION-FLAVOUR`.
    """
    name = metapackage
    for _ in range(3):
        following = [d for d in apt.depends(name) if re.match(r"linux-(image|binary)-\d", d) and d != name]
        if not following:
            break
        name = following[0]
    return name


def _modules_package(name: str) -> str:
    """Of `linux-binary-…` its `linux-modules-…`; "" for a package that holds its modules itself."""
    prefix = "linux-binary-"
    return f"linux-modules-{name.removeprefix(prefix)}" if name.startswith(prefix) else ""


def _fetch(apt: Apt, names: list[str], store: Path, progress: Progress) -> dict[str, Path]:
    for attempt in range(2):
        try:
            candidates = apt.candidates(names)
        except MissingEnvironmentError:
            if attempt:
                raise
            apt.update(force=True)
            continue
        absent = [c for c in candidates if not _complete(store / c.file, c.size)]
        if not absent:
            return {c.package: store / c.file for c in candidates}
        try:
            _download(apt, absent, store, progress)
        except MissingEnvironmentError:
            if attempt:
                raise
            # The mirror drops a version when its successor appears: read fresh lists.
            apt.update(force=True)
    return {c.package: store / c.file for c in apt.candidates(names)}


def _download(apt: Apt, absent: list[Candidate], store: Path, progress: Progress) -> None:
    size = sum(c.size for c in absent) / 1e6
    with (
        progress.step(f"download {len(absent)} packages of {apt.suite}, {size:.1f} MB"),
        tempfile.TemporaryDirectory(dir=store, prefix=".download.") as folder,
    ):
        trouble = apt.download([c.package for c in absent], Path(folder))
        for deb in Path(folder).glob("*.deb"):
            deb.rename(store / deb.name)
        if trouble:
            raise MissingEnvironmentError(
                f"cannot download {', '.join(c.package for c in absent)}: {trouble}",
                hint="is the network up? what was fetched before stays usable",
            )


def _complete(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextlib.contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder's lock; while another process has it, name that process and wait."""
    with open(folder / ".lock", "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"{folder} is in use by {_holder(handle)}; waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def _holder(lock: TextIO) -> str:
    """The process that wrote its number into `lock` when it took it."""
    lock.seek(0)
    pid = lock.read(32).strip()
    try:
        words = Path("/proc", str(int(pid)), "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return f"process {pid or 'unknown'}"
    return f"process {pid} ({' '.join(words).strip()[:80]})"
