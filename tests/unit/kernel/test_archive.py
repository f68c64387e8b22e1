"""Packages whose headers lie, and decompression that would not end."""

import gzip
import io
import lzma
import tarfile

import pytest
import zstandard

from tests.unit.kernel import writers
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.archive import control_fields, package_entries
from tinyvmi_build.kernel.package import kernel_in, read_bytes
from tinyvmi_build.kernel.unpack import reader, unpack

LONG = "./usr/lib/modules/" + "long/" * 60 + "a.ko"


def packed(compression: str, format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, content in {"./boot/config": b"c", LONG: b"m" * 1000, "./empty": b"", "./ü": b"u"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("./link")
        link.type, link.linkname = tarfile.SYMTYPE, "x" * 300
        tar.addfile(link)
    pack = {"xz": lzma.compress, "gz": gzip.compress, "zst": zstandard.compress, "": bytes}[compression]
    name = f"data.tar.{compression}".rstrip(".")
    data = pack(out.getvalue())
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
    return b"!<arch>\n" + head + data


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compression", ["", "xz", "gz", "zst"])
def test_every_form_of_tar(compression, format):
    found = [(e.name, e.regular, read()) for e, read in package_entries(packed(compression, format), "p")]
    assert found == [
        ("./boot/config", True, b"c"),
        (LONG, True, b"m" * 1000),
        ("./empty", True, b""),
        ("./ü", True, b"u"),
        ("./link", False, b""),
    ]


def test_entries_that_are_not_read_are_skipped():
    names = [e.name for e, _ in package_entries(packed("xz", tarfile.GNU_FORMAT), "p")]
    assert len(names) == 5


def test_the_control_file():
    control = "Package: linux-image-1\nArchitecture: amd64\nDescription: x\n Architecture: no\n"
    assert control_fields(writers.deb({}, control=control)) == {
        "Package": "linux-image-1",
        "Architecture": "amd64",
        "Description": "x",
    }
    assert control_fields(writers.deb({})) == {}


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ("Package: linux-image-686\nArchitecture: i386\n", "a package for i386"),
        ("Package: linux-image-arm64\nArchitecture: arm64\n", "a package for arm64"),
        ("Package: linux-image-1-amd64-dbg\nArchitecture: amd64\n", "a package of debug symbols"),
        ("Package: linux-image-1-amd64-dbgsym\nArchitecture: amd64\n", "a package of debug symbols"),
    ],
)
def test_what_cannot_hold_the_kernel_is_refused_by_its_head(tmp_path, control, message, monkeypatch):
    path = tmp_path / "p.deb"
    data = writers.deb(
        {"./boot/vmlinuz-1": writers.bzimage(writers.payload(writers.vmlinux(), "xz"))}, control=control
    )
    path.write_bytes(data + bytes(10 << 20))
    monkeypatch.setattr("tinyvmi_build.files.read_rest", lambda *_: pytest.fail("read as a whole"))
    with pytest.raises(UsageError, match=message):
        read_bytes(path)


@pytest.mark.parametrize(
    ("kernel", "machine"),
    [
        (writers.elf([(".text", 1, writers.TEXT, bytes(64), 64)], machine=183), "arm64"),
        (b"\x7fELF\1\1\1".ljust(18, b"\0") + b"\3\0" + bytes(100), "x86-32"),
        (bytes(0x38) + b"ARM\x64" + bytes(100), "arm64"),
        (writers.bzimage(b"x" * 100)[:0x236] + bytes(400), "x86-32"),
    ],
)
def test_kernels_of_other_machines(tmp_path, kernel, machine):
    with pytest.raises(UsageError, match=f"a kernel for {machine}"):
        kernel_in(kernel, tmp_path / "vmlinuz")
    with pytest.raises(UsageError, match=f"p.deb: ./boot/vmlinuz-1: a kernel for {machine}"):
        kernel_in(writers.deb({"./boot/vmlinuz-1": kernel}), tmp_path / "p.deb")


PACKERS = {"xz": lzma.compress, "gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("name", PACKERS)
def test_unpacking_is_bounded(name):
    pack = PACKERS[name]
    plain = bytes(range(256)) * 1000
    assert unpack(pack(plain), len(plain), "f") == plain
    assert unpack(pack(plain[:1000]) + pack(plain[1000:]), len(plain), "f") == plain
    with pytest.raises(UsageError, match="unpacks to more than"):
        unpack(pack(plain), len(plain) - 1, "f")
    for size in (len(pack(plain)) - 1, len(pack(plain)) // 2):
        with pytest.raises(UsageError, match="cannot be decompressed"):
            unpack(pack(plain)[:size], len(plain), "f")
    assert reader(b"plain") is None and unpack(b"plain", 1, "f") == b"plain"
