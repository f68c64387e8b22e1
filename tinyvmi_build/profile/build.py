"""Kernel packages → profiles, with a cache: a kernel that was seen before costs a hash of its package."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import zlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tinyvmi_build
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.archive import is_package, package_entries
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.modules import module_of, modules_in
from tinyvmi_build.kernel.package import (
    NoKernelError,
    kernel_in,
    kernel_path,
    read_bytes,
)
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.profile.container import PackedSection
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.progress import Progress

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config

_TOOL_PARTS = ("kernel", "profile", "checks")  # what a profile's content depends on


@dataclass(frozen=True)
class Wanted:
    """Which modules get tables: those whose name a pattern of `include` matches, and what they need.

    `extra` are more places of modules: .ko files, folders, packages.
    """

    include: tuple[str, ...]
    extra: tuple[Path, ...] = ()


def wanted_modules(config: Config) -> Wanted | None:
    """Those that a configuration names; None if its monitor verifies none."""
    from tinyvmi_build.checks.modules.check import CHECK
    from tinyvmi_build.checks.modules.settings import ModulesSettings

    if CHECK.name in config.checks.off:
        return None
    return Wanted(config.checks.of(ModulesSettings).include, config.kernel.modules)


def build(
    packages: Iterable[Path], progress: Progress | None = None, wanted: Wanted | None = None
) -> ProfileFile:
    """Profiles of `packages` (.deb, vmlinuz, vmlinux or folder each); UsageError if one is no kernel.

    A package that has modules alone goes to the kernel of its release.  Without `wanted` no module is read.
    """
    progress = progress or Progress()
    kernels, others = [], list[Path]()
    for path in packages:
        known = _without_kernel(path) if wanted else None
        if known and known.exists():
            others.append(path)
            continue
        try:
            kernels.append(_Source(kernel_path(path), path, progress))
        except NoKernelError:
            if wanted is None or not _has_modules(path):
                raise
            others.append(path)
            if known:
                known.touch()
    if not kernels:
        raise UsageError("no kernel was given", hint="name a kernel package, a vmlinuz or a folder")
    return ProfileFile([source.profile(wanted, others) for source in kernels])


def _without_kernel(path: Path) -> Path | None:
    """The file that says that the package `path` holds modules alone: that shows only at its end."""
    if not path.is_file():
        return None
    return cache_dir("without-kernel") / hashlib.sha256(read_bytes(path)).hexdigest()


def _has_modules(path: Path) -> bool:
    return any(module_of(entry) for entry, _ in package_entries(read_bytes(path), path.name))


class _Source:
    """One kernel that was given."""

    def __init__(self, path: Path, given: Path, progress: Progress):
        self.path = path
        self.given = given
        self.progress = progress
        self.data = read_bytes(path)
        self.key = hashlib.sha256(
            _tool_hash() + path.name.encode() + b"\0" + hashlib.sha256(self.data).digest()
        ).hexdigest()
        self._cached = _cached(self._file(self.key))
        self.file = None if self._cached else kernel_in(self.data, path)

    @staticmethod
    def _file(key: str) -> Path:
        return cache_dir("profiles") / f"{key}.profile"

    @cached_property
    def image(self) -> KernelImage:
        return KernelImage(self.file or kernel_in(self.data, self.path))

    def profile(self, wanted: Wanted | None, others: list[Path]) -> KernelProfile:
        with self.progress.step(f"profile of {self.path.name}"):
            profile = self._profile(wanted, others)
            if profile.compression == "none" and not profile.counts["relocs64"]:
                self.progress.warn(
                    f"{self.path.name} carries no relocations:"
                    " the profile holds only without KASLR (give the vmlinuz)"
                )
            return profile

    def _profile(self, wanted: Wanted | None, others: list[Path]) -> KernelProfile:
        places = self._places(wanted, others) if wanted else []
        if not wanted or not places:
            return self._told(self._bare())
        whole = self._file(self._whole_key(wanted, places))
        known = _cached(whole)
        if known:
            self.progress.note(f"{known.release}, known already")
            return known
        profile = with_modules(self.image, wanted, places, self._begin_bare())
        ProfileFile([profile]).save(whole)
        return self._told(profile)

    def _told(self, profile: KernelProfile) -> KernelProfile:
        modules = len(profile.golden["modules"].get("list", ()))
        more = f", {modules} modules" if modules else ""
        self.progress.note(f"{profile.release}, {profile.counts['symbols']:,} symbols{more}")
        return profile

    def _begin_bare(self) -> Callable[[], KernelProfile]:
        """Have another process make it while this one reads the modules; what is returned waits for it."""
        if self._cached is not None:
            return self._bare
        _ = self.image  # read once, for both
        child = multiprocessing.get_context("fork").Process(target=self._bare_or_nothing, daemon=True)
        child.start()

        def wait() -> KernelProfile:
            child.join()
            self._cached = _cached(self._file(self.key))
            return self._bare()

        return wait

    def _bare_or_nothing(self) -> None:
        with contextlib.suppress(Exception):  # whoever waits for it tries again, and says why
            self._bare()

    def _bare(self) -> KernelProfile:
        """Without any module."""
        if self._cached is None:
            self._cached = profile_of(self.image)
            ProfileFile([self._cached]).save(self._file(self.key))
        return self._cached

    def _places(self, wanted: Wanted, others: list[Path]) -> list[Path]:
        """Where modules are looked for, in order: what comes later replaces."""
        own = [self.given] if self.given.is_dir() or is_package(self.data) else []
        if not own and self.path.parent.name and (self.path.parent / "kernel").is_dir():
            own = [self.path.parent / "kernel"]  # usr/lib/modules/RELEASE/vmlinuz
        return [*own, *others, *wanted.extra]

    def _whole_key(self, wanted: Wanted, places: list[Path]) -> str:
        digest = hashlib.sha256(self.key.encode() + json.dumps(wanted.include).encode())
        for place in places:
            files = sorted(place.rglob("*.ko*")) if place.is_dir() else [place]
            for file in files:
                if file.is_file():
                    state = file.stat()
                    digest.update(f"{file}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        return digest.hexdigest()


def with_modules(
    image: KernelImage, wanted: Wanted, places: list[Path], bare: Callable[[], KernelProfile]
) -> KernelProfile:
    """The profile that `bare` makes, with the tables of the modules in `places` that are `wanted`."""
    from tinyvmi_build.checks.lib.unknown import Unknown
    from tinyvmi_build.checks.modules import collect
    from tinyvmi_build.checks.modules import common as usual

    files: dict[str, bytes] = {}
    for place in places:
        files.update(modules_in(place, image.release))
    names = usual.wanted(files, wanted.include)
    extra: set[str] = set()
    for place in wanted.extra:
        found_there = modules_in(place, image.release)
        if not found_there:
            raise UsageError(
                f"{place}: no modules of Linux {image.release} in it",
                hint="it was searched for *.ko, *.ko.xz, *.ko.zst and *.ko.gz",
            )
        extra.update(found_there)
    names = sorted({*names, *extra})
    try:
        # Under way in other processes while this one makes the kernel's own.
        collection = collect.Collection(image, files, names, partial(_module_cache, image.build_id))
    except Unknown:
        return bare()  # whose golden values say why
    profile = bare()
    found = collection.result()
    values = dict(profile.golden)
    if "unknown" not in values["modules"]:
        values["modules"] = values["modules"] | {
            "list": sorted(found.tables),
            "extra": sorted(extra),
            "unverifiable": dict(sorted(found.unknown.items())),
            "available": sorted(files),
        }
    sections = dict(profile.packed)
    sections["golden"] = PackedSection.pack(_json(values))
    for name, tables in found.tables.items():
        sections[f"blob/modules/{name}"] = PackedSection.pack(tables)
    return KernelProfile(sections, image.name)


def _module_cache(build_id: str, key: str, make: Callable[[], bytes]) -> bytes:
    """A module's tables, computed once for a kernel and the files that they depend on."""
    name = hashlib.sha256(_tool_hash() + build_id.encode() + key.encode()).hexdigest()
    file = cache_dir("modules") / name
    with contextlib.suppress(OSError, zlib.error):
        return zlib.decompress(file.read_bytes())
    tables = make()
    partial_file = file.with_suffix(f".{os.getpid()}")
    partial_file.write_bytes(zlib.compress(tables, 1))
    partial_file.replace(file)
    return tables


def _cached(path: Path) -> KernelProfile | None:
    """The profile in the cache; a damaged one is not the user's trouble and is built again."""
    with contextlib.suppress(UsageError):
        if path.exists():
            return ProfileFile.load(path).kernels[0]
    return None


def profile_of(image: KernelImage) -> KernelProfile:
    """The profile of one kernel, golden values included."""
    # Here, so that a build that the cache answers loads none of it.
    from tinyvmi_build.checks import registry

    values, blobs = registry.compute(image)
    facts = {
        "build_id": image.build_id,
        "release": image.release,
        "banner": image.banner,
        "source": image.name,
        "compression": image.compression,
        "text_va": image.text_va,
        "physical_start": image.physical_start,
        "image_size": image.image_size,
        "build_id_va": image.build_id_va,
        "counts": {
            "symbols": len(image.symbols),
            "relocs64": len(image.relocs64),
            "relocs32": len(image.relocs32),
            "inverse32": len(image.inverse32),
            "btf_types": len(image.btf),
        },
        "sections": [
            [s.name, s.addr, s.size, None if s.nobits else image.elf.digest(s)]
            for s in image.elf.loaded_sections
        ],
    }
    sections = {"kernel": _json(facts), "golden": _json(values)}
    sections |= {f"symbols/{part}": data for part, data in image.symbols.packed().items()}
    own = {
        "btf": image.btf.data,
        "relocs64": _u64s(image.relocs64),
        "relocs32": _u64s(image.relocs32),
        "inverse32": _u64s(image.inverse32),
    }
    sections |= {f"blob/{name}": data for name, data in (own | blobs).items()}
    return KernelProfile({name: PackedSection.pack(data) for name, data in sections.items()}, image.name)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _u64s(values: array[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


@cache
def _tool_hash() -> bytes:
    """Of the sources that decide what a profile says, so that no old cache outlives a change of them."""
    root = Path(tinyvmi_build.__file__).parent
    digest = hashlib.sha256()
    for part in _TOOL_PARTS:
        for source in sorted((root / part).rglob("*.py")):
            digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()
