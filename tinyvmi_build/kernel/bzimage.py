"""The Linux/x86 boot image (bzImage): where its payload is and how to unpack it.

Source: Documentation/arch/x86/boot.rst (setup header) and
scripts/Makefile.lib (the size_append rule: the unpacked size follows the payload).
"""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

from tinyvmi_build.errors import UsageError

_MAX_UNPACKED = 512 << 20  # no kernel is larger; what a damaged size may make us allocate
_LZ4_BLOCK = 8 << 20  # legacy frames: lz4 -l, LEGACY_BLOCKSIZE


class _CorruptError(Exception):
    pass


def is_bzimage(data: bytes) -> bool:
    """True if `data` starts with a Linux/x86 setup header."""
    return data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS"


def unpack_bzimage(data: bytes, where: str) -> tuple[bytes, str]:
    """(vmlinux with its appended relocations, name of the compression) of a bzImage."""
    if not is_bzimage(data) or len(data) < 0x268:
        raise UsageError(f"{where}: not a Linux/x86 kernel image", hint="give a vmlinuz, a vmlinux or a .deb")
    version = struct.unpack_from("<H", data, 0x206)[0]
    if version < 0x208:
        raise UsageError(f"{where}: boot protocol {version:#x} is too old (before Linux 2.6.26)")
    setup_sects = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sects + 1) * 512 + offset
    if length < 8 or start + length > len(data):
        raise UsageError(
            f"{where}: truncated: the payload ends at byte {start + length}, the file at {len(data)}",
            hint="fetch the package again",
        )
    return unpack_payload(data[start : start + length], where)


def unpack_payload(payload: bytes, where: str) -> tuple[bytes, str]:
    """Unpack a payload whose last 4 bytes are the unpacked size; (bytes, compression)."""
    found = next((f for f in _FORMATS if payload.startswith(f[0])), None)
    if found is None:
        raise UsageError(
            f"{where}: the kernel's compression is unknown (payload starts with {payload[:8].hex()})",
            hint="known are gzip, bzip2, xz, lzma, lz4, lzo and zstd",
        )
    _, name, unpack = found
    size = int.from_bytes(payload[-4:], "little")
    if not 0 < size <= _MAX_UNPACKED:
        raise UsageError(
            f"{where}: impossible unpacked size {size} (damaged?)", hint="fetch the package again"
        )
    body = payload if name == "gzip" else payload[:-4]  # gzip's own last word is the size
    try:
        vmlinux = unpack(body, size)
    except (_CorruptError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise UsageError(
            f"{where}: the {name} payload is damaged: {error}", hint="fetch the package again"
        ) from None
    if len(vmlinux) != size:
        raise UsageError(
            f"{where}: the {name} payload does not unpack to the {size} bytes it announces",
            hint="fetch the package again",
        )
    return vmlinux, name


def _library(module: str, compression: str, hint: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"this kernel is compressed with {compression}, which needs the Python module {module}", hint=hint
        ) from None


# Each takes (body, expected size) and returns at most one byte more than expected.


def _gzip(body: bytes, size: int) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(body, size + 1)


def _bzip2(body: bytes, size: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(body, size + 1)


def _xz(body: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(body, size + 1)


def _lzma(body: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(body, size + 1)


def _zstd(body: bytes, size: int) -> bytes:
    zstandard = _library("zstandard", "zstd", "apt-get install python3-zstandard, or pip install zstandard")
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)) as reader:
            return bytes(reader.read(size + 1))
    except zstandard.ZstdError as error:
        raise _CorruptError(error) from None


def _lz4(body: bytes, size: int) -> bytes:
    block = _library("lz4.block", "lz4", "apt-get install python3-lz4, or pip install lz4")
    out = bytearray()
    at = 4
    while at + 4 <= len(body) and len(out) <= size:
        length = int.from_bytes(body[at : at + 4], "little")
        if length == 0 or at + 4 + length > len(body):
            raise _CorruptError(f"block at {at} has an impossible length")
        try:
            out += block.decompress(body[at + 4 : at + 4 + length], uncompressed_size=_LZ4_BLOCK)
        except block.LZ4BlockError as error:
            raise _CorruptError(error) from None
        at += 4 + length
    return bytes(out)


def _lzo(body: bytes, size: int) -> bytes:
    """The lzop(1) container: a header of variable length, then blocks with optional checksums."""
    lzo = _library("lzo", "lzo", "apt-get install python3-lzo, or pip install python-lzo (needs liblzo2-dev)")
    try:
        version = struct.unpack_from(">H", body, 9)[0]
        at = 15 + (2 if version >= 0x940 else 0)
        flags = struct.unpack_from(">I", body, at)[0]
        at += 4 + (4 if flags & 0x800 else 0) + 4 + 4 + (4 if version >= 0x940 else 0)
        at += 1 + body[at] + 4
        checksums = 4 * bool(flags & 0x1 or flags & 0x100)
        packed_checksums = 4 * bool(flags & 0x2 or flags & 0x200)
        out = bytearray()
        while len(out) <= size:
            plain = struct.unpack_from(">I", body, at)[0]
            if plain == 0:
                break
            stored = struct.unpack_from(">I", body, at + 4)[0]
            at += 8 + checksums + (packed_checksums if stored < plain else 0)
            if not 0 < stored <= plain <= _MAX_UNPACKED or at + stored > len(body):
                raise _CorruptError(f"block at {at} has an impossible length")
            chunk = body[at : at + stored]
            out += chunk if stored == plain else lzo.decompress(chunk, False, plain)
            at += stored
    except (struct.error, IndexError):
        raise _CorruptError("cut short") from None
    except lzo.error as error:
        raise _CorruptError(error) from None
    return bytes(out)


_FORMATS: list[tuple[bytes, str, Callable[[bytes, int], bytes]]] = [
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"\x5d\x00\x00", "lzma", _lzma),
    (b"\x02\x21\x4c\x18", "lz4", _lz4),
    (b"\x89LZO\x00\r\n\x1a\n", "lzo", _lzo),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
]
