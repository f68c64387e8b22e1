"""Decompression with bounds: of the result, and of the memory that the format may ask for.

A few bytes can unpack to gigabytes, and an xz or zstd header can ask for a dictionary of gigabytes.
"""

from __future__ import annotations

import io
import zlib
from typing import Protocol

from tinyvmi_build.errors import UsageError

_CHUNK = 1 << 16
_DICTIONARY_MAX = 512 << 20  # bytes; xz -9 asks for 65 MiB, the kernel's own build for up to 128 MiB
XZ, GZIP, ZSTD, BZIP2 = b"\xfd7zXZ\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh"


class Reader(Protocol):
    """A stream of plain bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


def reader(data: bytes | memoryview) -> Reader | None:
    """What unpacks `data`, by its first bytes; None if it is not compressed in a way that is known.

    `read` raises OSError, EOFError, ValueError or zlib.error for damaged data.
    """
    head = bytes(data[:6])
    if head.startswith(XZ):
        return _XzReader(data)
    if head.startswith(GZIP):
        import gzip

        return gzip.GzipFile(fileobj=io.BytesIO(data))
    if head.startswith(BZIP2):
        import bz2

        return bz2.BZ2File(io.BytesIO(data))
    if head.startswith(ZSTD):
        return _ZstdReader(data)
    return None


def unpack(data: bytes, bytes_max: int, where: str) -> bytes:
    """`data` unpacked if it is compressed; UsageError if it is damaged or becomes more than `bytes_max`."""
    source = reader(data)
    if source is None:
        return data
    parts, size = [], 0
    try:
        while part := source.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > bytes_max:
                raise UsageError(
                    f"{where}: unpacks to more than {bytes_max >> 20:,} MiB", hint="is it the right file?"
                )
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UsageError(f"{where}: cannot be decompressed: {error}", hint="is the file complete?") from None
    return b"".join(parts)


class _XzReader:
    def __init__(self, data: bytes | memoryview):
        import lzma  # not in every dom0, which reads no compressed file

        self._lzma = lzma
        self._data = memoryview(data)
        self._at = 0
        self._stream = self._new()

    def _new(self) -> object:
        return self._lzma.LZMADecompressor(self._lzma.FORMAT_XZ, memlimit=_DICTIONARY_MAX)

    def read(self, size: int = -1, /) -> bytes:
        limit = _CHUNK if size < 0 else size
        while limit:
            stream = self._stream
            assert isinstance(stream, self._lzma.LZMADecompressor)
            if stream.eof:
                rest = len(stream.unused_data)
                if self._at - rest >= len(self._data) or not any(self._data[self._at - rest : self._at + 4]):
                    return b""
                self._at -= rest
                self._stream = self._new()
                continue
            chunk = b""
            if stream.needs_input:
                chunk = bytes(self._data[self._at : self._at + _CHUNK])
                self._at += len(chunk)
                if not chunk:
                    raise EOFError("the end is missing")
            try:
                plain = stream.decompress(chunk, limit)
            except self._lzma.LZMAError as error:
                raise OSError(str(error)) from None
            if plain:
                return plain
        return b""


class _ZstdReader:
    def __init__(self, data: bytes | memoryview):
        import zstandard

        self._error = zstandard.ZstdError
        try:
            self._missing = zstandard.frame_content_size(data)  # -1 if the first frame does not say
        except zstandard.ZstdError:
            self._missing = -1
        decompressor = zstandard.ZstdDecompressor(max_window_size=_DICTIONARY_MAX)
        self._stream = decompressor.stream_reader(io.BytesIO(data), read_across_frames=True)

    def read(self, size: int = -1, /) -> bytes:
        try:
            plain = self._stream.read(_CHUNK if size < 0 else size)
        except self._error as error:
            raise OSError(str(error)) from None
        self._missing -= len(plain)
        if not plain and size and self._missing > 0:  # zstandard does not say that the end is missing
            raise EOFError("the end is missing")
        return plain
