"""Kernel packages → profiles, with a cache: a kernel that was seen before costs a hash of its package."""

from __future__ import annotations

import contextlib
import multiprocessing
from array import array
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.module_reader import Modules
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.archive import is_package, package_entries
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.modules import Wanted, module_of
from tinyvmi_build.kernel.package import NoKernelError, kernel_in, kernel_path, read_bytes
from tinyvmi_build.paths import cache_errors
from tinyvmi_build.processes import begin_child
from tinyvmi_build.profile.cache import (
    kernel_key,
    key_with_modules,
    load_profile,
    module_tables,
    note_without_kernel,
    save_profile,
)
from tinyvmi_build.profile.container import PackedSection
from tinyvmi_build.profile.discovery import discovery
from tinyvmi_build.profile.encoding import encode
from tinyvmi_build.profile.golden import as_json, golden_sections
from tinyvmi_build.profile.profile import KernelFacts, KernelProfile, ProfileFile, SectionFacts
from tinyvmi_build.progress import Progress

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config


def wanted_modules(config: Config) -> Wanted | None:
    """Those that a configuration names; None if its monitor verifies none."""
    reader = registry.module_reader()
    return reader.wanted(config) if reader else None


def build(
    packages: Iterable[Path], progress: Progress | None = None, wanted: Wanted | None = None
) -> ProfileFile:
    """Profiles of `packages` (.deb, vmlinuz, vmlinux or folder each); UsageError if one is no kernel.

    A package that has modules alone goes to the kernel of its release.  Without `wanted` no module is read.
    """
    progress, reader = progress or Progress(), registry.module_reader()
    kernels, others = [], list[Path]()
    for path in packages:
        known = note_without_kernel(read_bytes(path)) if wanted and not path.is_dir() else None
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
                with cache_errors():
                    known.touch()
    if not kernels:
        raise UsageError("no kernel was given", hint="name a kernel package, a vmlinuz or a folder")
    profiles = ProfileFile([source.profile(wanted, others) for source in kernels])
    if wanted and reader:
        reader.require_known(profiles.kernels, wanted.include)
    return profiles


def _has_modules(path: Path) -> bool:
    return any(module_of(entry) for entry, _ in package_entries(read_bytes(path), path.name))


class _Source:
    """One kernel that was given."""

    def __init__(self, path: Path, given: Path, progress: Progress):
        self.path = path
        self.given = given
        self.progress = progress
        self.data = read_bytes(path)
        self.key = kernel_key(self.data)
        self._cached = load_profile(self.key, path.name)
        self.file = None if self._cached else kernel_in(self.data, path)

    @cached_property
    def image(self) -> KernelImage:
        return KernelImage(self.file or kernel_in(self.data, self.path))

    def profile(self, wanted: Wanted | None, others: list[Path]) -> KernelProfile:
        with self.progress.step(f"profile of {self.path.name}"):
            profile = self._profile(wanted, others)
            if profile.compression == "none" and not profile.counts["relocs64"]:
                self.progress.warn(
                    f"{self.path.name} carries no relocations:"
                    " what needs them cannot be verified (give the vmlinuz)"
                )
            return profile

    def _profile(self, wanted: Wanted | None, others: list[Path]) -> KernelProfile:
        sources = self._sources(wanted, others) if wanted else []
        if wanted and not sources:
            self.progress.note(
                f"{self.path.name} has no modules with it: no loaded module will be verified"
                " (give the kernel's package, or the folder lib/modules/RELEASE as its modules)"
            )
        if not wanted or not sources or registry.module_reader() is None:
            return self._noted(self._bare())
        whole = key_with_modules(self.key, wanted.include, sources)
        known = load_profile(whole, self.path.name)
        if known:
            self.progress.note(f"{known.release}, known already")
            return known
        reader = registry.module_reader()
        assert reader is not None
        cache = partial(module_tables, self.image.build_id)
        profile = reader.extend(Modules(self.image, wanted, sources, cache), self._begin_bare())
        save_profile(whole, profile)
        return self._noted(profile)

    def _noted(self, profile: KernelProfile) -> KernelProfile:
        details = (c.detail(profile).covered for c in registry.checks() if not registry.gap(c, profile))
        covered = [f"{profile.counts['symbols']:,} symbols", *filter(None, details)]
        self.progress.note(f"{profile.release}, {', '.join(covered)}")
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
            self._cached = load_profile(self.key, self.path.name)
            return self._bare()

        return wait

    def _bare_or_nothing(self) -> None:
        begin_child()
        with contextlib.suppress(Exception):  # whoever waits for it tries again, and says why
            self._bare()

    def _bare(self) -> KernelProfile:
        """Without any module."""
        if self._cached is None:
            self._cached = profile_of(self.image)
            save_profile(self.key, self._cached)
        return self._cached

    def _sources(self, wanted: Wanted, others: list[Path]) -> list[Path]:
        """Where modules are searched for, in order: what comes later replaces."""
        own = [self.given] if self.given.is_dir() or is_package(self.data) else []
        if not own and self.path.parent.name and (self.path.parent / "kernel").is_dir():
            own = [self.path.parent / "kernel"]  # usr/lib/modules/RELEASE/vmlinuz
        return [*own, *others, *wanted.extra]


def profile_of(image: KernelImage) -> KernelProfile:
    """The profile of one kernel, golden values included."""
    found = discovery(image)
    golden = registry.compute(image)
    facts = KernelFacts(
        build_id=image.build_id,
        release=image.release,
        banner=image.banner,
        source=image.name,
        compression=image.compression,
        text_va=image.text_va,
        physical_start=image.physical_start,
        image_size=image.image_size,
        build_id_va=image.build_id_va,
        counts={
            "symbols": len(image.symbols),
            "relocs64": len(image.relocs64),
            "relocs32": len(image.relocs32),
            "inverse32": len(image.inverse32),
            "btf_types": len(image.btf),
        },
        sections=tuple(
            SectionFacts(s.name, s.addr, s.size, None if s.nobits else image.elf.digest(s))
            for s in image.elf.loaded_sections
        ),
    )
    sections = {"kernel": as_json(encode(facts)[0]), "discovery": as_json(encode(found)[0])}
    for check, values in golden.items():
        sections |= golden_sections(check, values)
    sections |= {f"symbols/{part}": data for part, data in image.symbols.packed().items()}
    own = {
        "btf": image.btf.data,
        "relocs64": _u64s(image.relocs64),
        "relocs32": _u64s(image.relocs32),
        "inverse32": _u64s(image.inverse32),
    }
    sections |= {f"blob/{name}": data for name, data in own.items()}
    return KernelProfile({name: PackedSection.pack(data) for name, data in sections.items()}, image.name)


def _u64s(values: array[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)
