"""Every way in which a kernel is packed, whole and damaged."""

import struct
import subprocess

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.errors import Exit, UsageError
from tinyvmi_build.kernel import bzimage
from tinyvmi_build.kernel.bzimage import unpack_bzimage

PLAIN = bytes(i * i >> 3 & 0xFF for i in range(200_000))


@pytest.mark.parametrize("compression", writers.COMPRESSORS)
def test_unpacks(compression):
    image = writers.bzimage(writers.payload(PLAIN, compression))
    assert unpack_bzimage(image, "k") == (PLAIN, compression)


@pytest.mark.parametrize("compression", writers.COMPRESSORS)
def test_truncated(compression):
    image = writers.bzimage(writers.payload(PLAIN, compression))
    with pytest.raises(UsageError, match="truncated") as caught:
        unpack_bzimage(image[: len(image) // 2], "k")
    assert caught.value.exit is Exit.USAGE
    assert caught.value.hint


@pytest.mark.parametrize("compression", writers.COMPRESSORS)
def test_announced_size_is_checked(compression):
    packed = writers.payload(PLAIN, compression)
    for wrong in (len(PLAIN) - 1, len(PLAIN) + 1, 0, 0xFFFFFFFF):
        image = writers.bzimage(packed[:-4] + struct.pack("<I", wrong))
        with pytest.raises(UsageError, match="size|bytes it announces|damaged"):
            unpack_bzimage(image, "k")


@pytest.mark.parametrize("compression", writers.COMPRESSORS)
def test_damaged(compression):
    packed = bytearray(writers.payload(PLAIN, compression))
    packed[len(packed) // 2] ^= 0x55
    packed[len(packed) // 3] ^= 0x55
    try:
        plain, _ = unpack_bzimage(writers.bzimage(bytes(packed)), "k")
    except UsageError as error:
        assert error.message.startswith("k: ")
    else:  # lzma, lz4 and zstd as kernels use them have no checksum of the content
        assert compression in ("lzma", "lz4", "zstd")
        assert len(plain) == len(PLAIN)


def test_lz4_of_several_blocks():
    plain = PLAIN * 90  # more than two blocks of 8 MiB
    assert unpack_bzimage(writers.bzimage(writers.payload(plain, "lz4")), "k") == (plain, "lz4")


def test_lz4_tool(tmp_path):
    """The legacy frame as lz4(1) writes it for the kernel's build."""
    try:
        packed = subprocess.run(
            ["lz4", "-l", "-9", "-c"], input=PLAIN, capture_output=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("no lz4 tool")
    assert unpack_bzimage(writers.bzimage(packed + struct.pack("<I", len(PLAIN))), "k") == (PLAIN, "lz4")


def _lzop(data: bytes, compress) -> bytes:
    """lzop(1)'s container with adler32 checksums of the plain blocks, as `lzop -9` writes it."""
    header = struct.pack(">HHHBBIIII", 0x1040, 0x20A0, 0x940, 3, 9, 0x03000001, 0o100644, 0, 0) + b"\0"
    out = b"\x89LZO\0\r\n\x1a\n" + header + b"SUMS"
    for at in range(0, len(data), 256 << 10):
        plain = data[at : at + (256 << 10)]
        block = compress(plain)
        block = block if len(block) < len(plain) else plain
        out += struct.pack(">II4s", len(plain), len(block), b"SUMS") + block
    return out + bytes(4) + struct.pack("<I", len(data))


def test_lzo():
    lzo = pytest.importorskip("lzo", reason="python-lzo is optional")
    packed = _lzop(PLAIN, lambda block: lzo.compress(block, 9, False))
    assert unpack_bzimage(writers.bzimage(packed), "k") == (PLAIN, "lzo")


class _Lzo:
    """Stands in for python-lzo where all blocks are stored: nothing is left for it to do."""

    error = ArithmeticError


def test_lzo_stored_blocks(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lzo", _Lzo())
    plain = PLAIN * 3
    packed = _lzop(plain, lambda block: block)
    assert unpack_bzimage(writers.bzimage(packed), "k") == (plain, "lzo")
    with pytest.raises(UsageError, match="lzo payload is damaged"):
        unpack_bzimage(writers.bzimage(packed[:4000] + packed[-4:]), "k")


def test_lzo_without_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lzo", None)
    with pytest.raises(UsageError, match="needs the Python module lzo") as caught:
        unpack_bzimage(writers.bzimage(_lzop(PLAIN, lambda block: block)), "k")
    assert "python-lzo" in (caught.value.hint or "")


def test_unknown_compression():
    with pytest.raises(UsageError, match="compression is unknown .*6e6f2073"):
        unpack_bzimage(writers.bzimage(b"no such thing\0\0\0"), "k")


def test_old_protocol():
    with pytest.raises(UsageError, match="protocol 0x207"):
        unpack_bzimage(writers.bzimage(writers.payload(PLAIN, "gzip"), version=0x207), "k")


def test_no_bzimage():
    assert not bzimage.is_bzimage(b"MZ" + bytes(600))
    with pytest.raises(UsageError, match="not a Linux/x86 kernel image"):
        unpack_bzimage(bytes(1024), "k")
