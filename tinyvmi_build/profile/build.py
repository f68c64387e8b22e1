"""Kernel packages → profiles, with a cache: a kernel that was seen before costs a hash of its package."""

from __future__ import annotations

import contextlib
import hashlib
import json
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tinyvmi_build

from ..errors import UsageError
from ..kernel.image import KernelImage
from ..kernel.package import kernel_in, kernel_path, read_bytes
from ..paths import cache_dir
from ..progress import Progress
from .container import PackedSection
from .profile import KernelProfile, ProfileFile

_TOOL_PARTS = ("kernel", "profile", "golden")  # what a profile's content depends on


def build(packages: Iterable[Path], progress: Progress | None = None) -> ProfileFile:
    """Profiles of `packages` (.deb, vmlinuz, vmlinux or folder each); UsageError if one is no kernel."""
    progress = progress or Progress()
    kernels = [_build_one(path, progress) for path in packages]
    if not kernels:
        raise UsageError("no kernel was given", hint="name a kernel package, a vmlinuz or a folder")
    return ProfileFile(kernels)


def _build_one(path: Path, progress: Progress) -> KernelProfile:
    path = kernel_path(path)
    with progress.step(f"profile of {path.name}"):
        data = read_bytes(path)
        key = hashlib.sha256(
            _tool_hash() + path.name.encode() + b"\0" + hashlib.sha256(data).digest()
        ).hexdigest()
        cached = cache_dir("profiles") / f"{key}.profile"
        profile = _cached(cached)
        if profile:
            progress.note(f"{profile.release}, known already")
        else:
            profile = profile_of(KernelImage(kernel_in(data, path)))
            ProfileFile([profile]).save(cached)
            progress.note(f"{profile.release}, {profile.counts['symbols']:,} symbols")
        if profile.compression == "none" and not profile.counts["relocs64"]:
            progress.warn(
                f"{path.name} carries no relocations: the profile holds only without KASLR (give the vmlinuz)"
            )
        return profile


def _cached(path: Path) -> KernelProfile | None:
    """The profile in the cache; a damaged one is not the user's trouble and is built again."""
    with contextlib.suppress(UsageError):
        if path.exists():
            return ProfileFile.load(path).kernels[0]
    return None


def profile_of(image: KernelImage) -> KernelProfile:
    """The profile of one kernel, golden values included."""
    # Here, so that a build that the cache answers loads none of it.
    from .. import golden

    values, blobs = golden.compute(image)
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


def _tool_hash() -> bytes:
    """Of the sources that decide what a profile says, so that no old cache outlives a change of them."""
    root = Path(tinyvmi_build.__file__).parent
    digest = hashlib.sha256()
    for part in _TOOL_PARTS:
        for source in sorted((root / part).rglob("*.py")):
            digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()
