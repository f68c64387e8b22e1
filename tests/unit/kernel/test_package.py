"""The forms in which a kernel is given, and what is said of those that are none."""

import os

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.errors import Exit, UsageError
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import read_kernel


@pytest.fixture(scope="module")
def vmlinuz() -> bytes:
    return writers.bzimage(writers.payload(writers.vmlinux(), "zstd"))


def complaint(path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_kernel(path)
    assert caught.value.exit is Exit.USAGE
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert path.name in caught.value.message
    return caught.value


@pytest.mark.parametrize("compression", ("none", "gz", "xz", "zst"))
@pytest.mark.parametrize("name", ("./boot/vmlinuz-9.9.9-test", "./usr/lib/modules/9.9.9-test/vmlinuz"))
def test_deb(tmp_path, vmlinuz, compression, name):
    package = tmp_path / "linux-image.deb"
    files = {"./boot/config-9.9.9-test": b"x", name: vmlinuz, "./lib/modules/9.9.9-test/big.ko": bytes(99999)}
    package.write_bytes(writers.deb(files, compression))
    kernel = read_kernel(package)
    assert (kernel.name, kernel.release, kernel.data) == ("linux-image.deb", "9.9.9-test", vmlinuz)


def test_vmlinuz_and_vmlinux(tmp_path, vmlinuz):
    for name, data, compression in (
        ("vmlinuz-9.9.9-test", vmlinuz, "zstd"),
        ("vmlinux", writers.vmlinux(), "none"),
        ("bare", writers.vmlinux(tail=b""), "none"),
    ):
        (tmp_path / name).write_bytes(data)
        image = KernelImage.load(tmp_path / name)
        assert (image.name, image.release, image.compression) == (name, "9.9.9-test", compression)


@pytest.mark.parametrize(
    "place", ("vmlinuz", "boot/vmlinuz-9.9.9-test", "usr/lib/modules/9.9.9-test/vmlinuz", "linux.deb")
)
def test_folder(tmp_path, vmlinuz, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(writers.deb({"./boot/vmlinuz-1": vmlinuz}) if place.endswith("deb") else vmlinuz)
    assert read_kernel(tmp_path).data == vmlinuz


def test_folder_with_a_link_to_its_kernel(tmp_path, vmlinuz):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-1").write_bytes(vmlinuz)
    (tmp_path / "vmlinuz").symlink_to("boot/vmlinuz-1")
    assert read_kernel(tmp_path).data == vmlinuz


def test_folder_with_several(tmp_path, vmlinuz):
    for name in ("vmlinuz-1", "vmlinuz-2"):
        (tmp_path / name).write_bytes(vmlinuz)
    error = complaint(tmp_path)
    assert "several kernels: vmlinuz-1, vmlinuz-2" in error.message


def test_folder_with_none(tmp_path):
    assert "no kernel in this folder" in complaint(tmp_path).message


@pytest.mark.parametrize("content", (b"", b"#!/bin/sh\n", os.urandom(5000).replace(b"\x7f", b"\0")))
def test_not_a_kernel(tmp_path, content):
    (tmp_path / "thing").write_bytes(content)
    assert "not a kernel" in complaint(tmp_path / "thing").message


def test_missing(tmp_path):
    assert "No such file" in complaint(tmp_path / "absent").message


def test_unreadable(tmp_path, monkeypatch):
    """Root may read everything, so the refusal is the file system's: a file in place of a folder."""
    (tmp_path / "file").write_bytes(b"x")
    assert "cannot be read" in complaint(tmp_path / "file" / "vmlinuz").message


def test_package_without_kernel(tmp_path):
    (tmp_path / "linux-image-amd64.deb").write_bytes(writers.deb({"./usr/share/doc/x": b"x"}))
    error = complaint(tmp_path / "linux-image-amd64.deb")
    assert "no kernel in this package" in error.message
    assert "metapackage" in (error.hint or "")


@pytest.mark.parametrize("compression", ("none", "gz", "xz", "zst"))
def test_truncated_package(tmp_path, vmlinuz, compression):
    package = writers.deb({"./boot/vmlinuz-1": vmlinuz}, compression)
    for size in (9, 60, 70, 150, 200, len(package) // 2, len(package) - 9):
        (tmp_path / "k.deb").write_bytes(package[:size])
        assert "truncated" in complaint(tmp_path / "k.deb").message


@pytest.mark.parametrize("compression", ("gz", "xz", "zst"))
def test_damaged_package(tmp_path, vmlinuz, compression):
    package = bytearray(writers.deb({"./boot/vmlinuz-1": vmlinuz}, compression))
    package[210:230] = bytes(20)
    (tmp_path / "k.deb").write_bytes(package)
    assert "damaged" in complaint(tmp_path / "k.deb").message
