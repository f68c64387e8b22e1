"""The vDSO images in `ro_after_init`: their alternatives (init_vdso_image(), arch/x86/entry/vdso/vma.c)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.facts import Facts, Memory, PatchingState
from tinyvmi_build.checks.text.patch import Patcher
from tinyvmi_build.checks.text.series import Series, series_of
from tinyvmi_build.checks.text.sites import Alternative, Sites

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

_IMAGES = (
    "vdso_image_64",
    "vdso_image_x32",
    "vdso_image_32",
    "vdso64_image",
    "vdsox32_image",
    "vdso32_image",
)
_MAX_FEATURES = 5
_MAX_SIZE = 16


def encodings(image: KernelImage) -> dict[tuple[int, int], list[bytes]]:
    """(link address, size) of each site that is patched → every encoding that may stand there."""
    series = series_of(image)
    facts = Facts(image, series)
    found: dict[tuple[int, int], list[bytes]] = {}
    for name in _IMAGES:
        va = image.symbols.get(name)
        if va is None:
            continue
        try:
            at = {m: image.btf.offset("struct vdso_image", m) for m in ("data", "size", "alt", "alt_len")}
        except KeyError as why:
            raise UnsupportedError(f"the vDSO's images are not described: {why}") from None
        data, size, alt, alt_size = (image.u64(va + at[m]) for m in ("data", "size", "alt", "alt_len"))
        if not 0 <= alt <= alt + alt_size <= size <= 1 << 20:
            raise UnsupportedError(f"{name} is not as this generator expects")
        memory = Memory(data, image.read(data, size))
        alternatives = list(_entries(data + alt, image.read(data + alt, alt_size), series))
        for start, group in itertools.groupby(alternatives, key=lambda entry: entry.instr):
            entries = list(group)
            length = max(entry.size for entry in entries)
            if (
                not data <= start <= start + length <= data + size
                or length > _MAX_SIZE
                or (start, length) in found
            ):
                raise UnsupportedError(f"an alternative of {name} is not as this generator expects")
            found[start, length] = _variants(facts, memory, start, length, entries)
    return found


def _entries(va: int, data: bytes, series: Series) -> Iterator[Alternative]:
    """struct alt_instr (asm/alternative.h): 12 bytes, 14 since 6.3 or so."""
    size = 14 if series.relocates else 12
    if len(data) % size:
        raise UnsupportedError(
            f"the alternatives of a vDSO have {len(data)} bytes, which are no entries of {size}"
        )
    for at in range(0, len(data), size):
        instr, repl = struct.unpack_from("<ii", data, at)
        if series.relocates:
            feature, flags, length, repl_length = struct.unpack_from("<HHBB", data, at + 8)
        else:
            feature, length, repl_length = struct.unpack_from("<HBB", data, at + 8)
            feature, flags = feature & 0x7FFF, feature >> 15
        if flags & ~1 or repl_length > length:
            raise UnsupportedError("an alternative of a vDSO is not as this generator expects")
        yield Alternative(
            instr=va + at + instr,
            repl=va + at + 4 + repl,
            feature=feature,
            inverted=bool(flags),
            direct_call=False,
            size=length,
            repl_size=repl_length,
        )


def _variants(facts: Facts, memory: Memory, start: int, size: int, entries: list[Alternative]) -> list[bytes]:
    features = sorted({entry.feature for entry in entries})
    if len(features) > _MAX_FEATURES:
        raise UnsupportedError(f"{len(features)} capabilities decide about one site of the vDSO")
    out = set()
    for chosen in range(1 << len(features)):
        for k8 in {False, bool(facts.series.k8_nops)}:
            copy = Memory(memory.base, memory.data)
            state = PatchingState(
                frozenset(feature for i, feature in enumerate(features) if chosen >> i & 1),
                return_thunk=facts.return_thunk,
                k8_nops=k8,
            )
            sites = Sites()
            sites.alternatives = entries
            Patcher(facts, copy, state).run(sites)
            out.add(copy.read(start, size))
    return sorted(out)
