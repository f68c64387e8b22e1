"""Things that are not what a verb asks for: each is small on disk, and made by `make`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import zstandard

from tests.unit.dump import writers as dumps
from tests.unit.kernel import ko_writer, writers

_ZEROS = bytes(1 << 20)


def _zstd_zeros(size: int) -> bytes:
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as stream:
        for _ in range(size >> 20):
            stream.write(_ZEROS)
    return out.getvalue()


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header with a right checksum and any size field of 12 bytes."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:263] = b"ustar\0"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def deb(data: bytes, name: str = "data.tar") -> bytes:
    return ar(("debian-binary", b"2.0\n"), (name, data))


def control(text: str) -> bytes:
    return writers.deb({"./boot/vmlinuz-1": b"x"}, control=text)


def _base256(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def _small_kernel() -> bytes:
    return writers.bzimage(writers.payload(writers.vmlinux(), "xz"))


def _pax(record: bytes) -> bytes:
    size = b"%011o\0" % len(record)
    return header(b"pax", size, b"x") + record.ljust(512, b"\0") + header(b"a", b"%011o\0" % 0)


def _xz_with_a_dictionary_of_4_gib() -> bytes:
    """The block header's filter flags and checksum changed (xz's file format, 3.1)."""
    data = bytearray(lzma.compress(b"x"))
    start, size = 12, (data[12] + 1) * 4
    at = data.index(b"\x21\x01", start, start + size)
    data[at + 2] = 40
    data[start + size - 4 : start + size] = struct.pack("<I", zlib.crc32(data[start : start + size - 4]))
    return bytes(data)


FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"hello\n",
    "zeros": lambda: bytes((2 << 20) + 5),  # no whole pages, else it is a raw image of no kernel
    "noise": lambda: bytes((i * 167 + i // 251) % 256 for i in range(70_000)),
    "elf-header": lambda: b"\x7fELF\2\1\1" + bytes(57),
    "elf-cut": lambda: writers.vmlinux()[:9000],
    "elf-arm64": lambda: writers.elf([(".text", 1, writers.TEXT, bytes(64), 64)], machine=183),
    "elf-sections": lambda: writers.vmlinux()[:40] + b"\xff" * 24 + writers.vmlinux()[64:],
    "ko": lambda: ko_writer.module({".text": b"x"}),
    "bzimage-cut": lambda: _small_kernel()[:3000],
    "bzimage-noise": lambda: _small_kernel()[:2000] + b"\x55" * 90_000,
    "bzimage-32": lambda: _small_kernel()[:0x236] + b"\0" + _small_kernel()[0x237:],
    "bzimage-huge": lambda: writers.bzimage(_zstd_zeros(1 << 30) + struct.pack("<I", (1 << 30) - 1)),
    "arm64-image": lambda: bytes(0x38) + b"ARM\x64" + bytes(4096),
    "deb-i386": lambda: control("Package: linux-image-686\nArchitecture: i386\n"),
    "deb-arm64": lambda: control("Package: linux-image-arm64\nArchitecture: arm64\n"),
    "deb-dbg": lambda: control("Package: linux-image-1-amd64-dbg\nArchitecture: amd64\n"),
    "deb-meta": lambda: writers.deb({"./usr/share/doc/x": b"x"}),
    "deb-cut": lambda: writers.deb({"./boot/vmlinuz-1": _small_kernel()})[:500],
    "deb-endless-skip": lambda: deb(header(b"x", _base256((1 << 88) - 1))),
    "deb-large-skip": lambda: deb(header(b"x", b"77777777777\0")),
    "deb-negative": lambda: deb(header(b"x", b"\xff" * 12)),
    "deb-long-name": lambda: deb(
        zstandard.compress(header(b"././@LongLink", _base256(3 << 30), b"L")) + _zstd_zeros(3 << 30),
        "data.tar.zst",
    ),
    "deb-bomb": lambda: deb(
        zstandard.compress(header(b"x", b"77777777777\0")) + _zstd_zeros(6 << 30), "data.tar.zst"
    ),
    "deb-kernel-bomb": lambda: deb(
        zstandard.compress(header(b"boot/vmlinuz-1", _base256(2 << 30))) + _zstd_zeros(2 << 30),
        "data.tar.zst",
    ),
    "deb-checksum": lambda: deb(b"x" * 1024),
    "deb-pax": lambda: deb(_pax(b"999999 path=x\n")),
    "deb-pax-size": lambda: deb(_pax(b"21 size=-99999999999\n")),
    "deb-escape": lambda: writers.deb({"./boot/vmlinuz-\x1b[2J\x1b]0;x\x07": b"no kernel"}),
    "deb-ar": lambda: b"!<arch>\n" + b"data.tar        " + b"\xb2" * 44,
    "gzip-bomb": lambda: gzip.compress(_ZEROS) * 700,
    "gzip-cut": lambda: gzip.compress(b"x" * 5000)[:50],
    "xz-bomb": lambda: lzma.compress(_ZEROS) * 700,
    "xz-dictionary": _xz_with_a_dictionary_of_4_gib,
    "deb-xz-dictionary": lambda: deb(_xz_with_a_dictionary_of_4_gib(), "data.tar.xz"),
    "bzip2": lambda: bz2.compress(_ZEROS),
    "zstd-bomb": lambda: _zstd_zeros(3 << 30),
    "zstd-window": lambda: b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(40),
    "profile-head": lambda: b"TVMIPROF" + bytes(100),
    "profile-cut": lambda: b"TVMIPROF\1\0\0\0\xff\xff\xff\xff" + bytes(100),
    "lime": lambda: struct.pack("<4sIQQ8x", b"EMiL", 1, 0, (1 << 64) - 1),
    "core-cut": lambda: dumps.elf_core([(0, bytes(8192))])[:5000],
    "core-beyond": lambda: dumps.elf_core([(1 << 60, bytes(8192))]),
    "kdump-cut": lambda: dumps.kdump([bytes(4096)] * 8)[:20_000],
    "kdump-head": lambda: b"KDUMP   " + b"\xff" * 9000,
    "flattened-cut": lambda: dumps.flattened([bytes(4096)] * 8)[:20_000],
    "flattened-nothing": lambda: b"makedumpfile".ljust(4096, b"\0") + struct.pack(">qq", -1, -1),
    "json-deep": lambda: b"[" * 200_000,
    "json-object": lambda: b'{"a": ' * 100_000,
    "json-number": lambda: b"9" * 100_000,
    "isf": lambda: json.dumps(dict.fromkeys(("base_types", "user_types", "enums", "symbols"), {})).encode(),
    "toml-deep": lambda: b"x = " + b"[" * 100_000,
    "toml-number": lambda: b"x = " + b"9" * 100_000,
    "toml-nul": lambda: b'[kernel]\npackages = ["a\\u0000"]\n',
    "toml-device": lambda: b'[kernel]\npackages = ["/dev/zero"]\n',
    "toml-long": lambda: b'[kernel]\nprofile = "' + b"x" * 5000 + b'"\n',
    "toml-modules": lambda: b'[kernel]\npackages = ["good.deb"]\nmodules = ["fifo"]\n',
}
OTHERS = ("folder", "fifo", "device", "null", "socket", "loop", "sparse", "missing")


def make(folder: Path) -> list[str]:
    """Make all of it in `folder`; the paths, as they may be given to a verb that runs there."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content())
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / "loop").symlink_to("loop")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 43)
    return [
        *FILES,
        *OTHERS,
        "text/inside",
        "/dev/zero",
        "x" * 300,
        "d/" * 3000,
    ]
