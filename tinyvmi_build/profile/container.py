"""The profile file's outer form: named, compressed sections under one SHA-256.

Little-endian:

    offset  size  what
    0       8     magic "TVMIPROF"
    8       4     version (2)
    12      4     size T of the table in bytes
    16      32    SHA-256 of the rest: the version and T as above, then everything from offset 48
    48      T     table: JSON, a list of [name, offset, stored, size], sorted by name
    48+T    …     section data, each zlib-compressed; `offset` counts from here

`stored` is the compressed size, `size` the plain one.  Only the standard
library: a dom0 reads it.  A file is mapped, its sections are unpacked when asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import PROFILE, cannot_read, open_regular, write_file

MAGIC = b"TVMIPROF"
VERSION = 2
_HEADER = struct.Struct("<8sII32s")
_COUNTS = struct.Struct("<II")
_LEVEL = 6
_MAX_SIZE = 256 << 20  # of an unpacked section; those of kernels have at most a tenth


@dataclass(frozen=True)
class PackedSection:
    """One section as stored: zlib data and the size it unpacks to."""

    data: bytes | memoryview
    size: int

    @classmethod
    def pack(cls, plain: bytes) -> PackedSection:
        return cls(zlib.compress(plain, _LEVEL), len(plain))

    def unpack(self, where: str) -> bytes:
        """The plain bytes; UsageError if they are not what was packed."""
        with contextlib.suppress(zlib.error):
            unpacker = zlib.decompressobj()
            plain = unpacker.decompress(self.data, self.size + 1)
            if len(plain) == self.size:
                return plain
        raise UsageError(f"{where}: a section of the profile is damaged", hint="build the profile again")


def write_container(path: Path, sections: Mapping[str, PackedSection]) -> None:
    """Write `sections` to `path` at once or not at all; the same sections give the same bytes."""
    table = []
    at = 0
    for name in sorted(sections):
        section = sections[name]
        table.append([name, at, len(section.data), section.size])
        at += len(section.data)
    table_bytes = json.dumps(table, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(_COUNTS.pack(VERSION, len(table_bytes)) + table_bytes)
    for name in sorted(sections):
        digest.update(sections[name].data)
    header = _HEADER.pack(MAGIC, VERSION, len(table_bytes), digest.digest())
    write_file(path, (header, table_bytes, *(sections[name].data for name in sorted(sections))))


def read_container(path: Path) -> dict[str, PackedSection]:
    """The sections of the file at `path`, checked against its hash; UsageError if it is no sound profile."""
    data = _map(path)
    if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise UsageError(
            f"{path}: not a profile", hint="`tinyvmi-build profile build` makes one from a kernel package"
        )
    _, version, table_size, digest = _HEADER.unpack_from(data)
    if version != VERSION:
        raise UsageError(
            f"{path}: profile version {version}, this tool reads {VERSION}",
            hint="build the profile with this tool",
        )
    body = data[_HEADER.size :]
    if hashlib.sha256(_COUNTS.pack(version, table_size) + body).digest() != digest:
        raise UsageError(f"{path}: the profile is damaged or truncated", hint="build the profile again")
    try:
        table = json.loads(bytes(body[:table_size]))
        sections = {}
        for name, offset, stored, size in table:
            start = table_size + offset
            if min(offset, stored, size) < 0 or start + stored > len(body) or size > _MAX_SIZE:
                raise ValueError(name)
            sections[str(name)] = PackedSection(body[start : start + stored], size)
    except (ValueError, TypeError, RecursionError):
        raise UsageError(f"{path}: the profile's table is damaged", hint="build the profile again") from None
    return sections


def _map(path: Path) -> memoryview:
    with open_regular(path, PROFILE) as handle:
        if os.fstat(handle.fileno()).st_size == 0:
            return memoryview(b"")
        try:
            return memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise cannot_read(path, error) from None
