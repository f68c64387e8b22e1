"""Small and real kernels."""

import os

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import KernelFile

REAL = (
    ("linux-image-cloud-amd64", "bookworm"),
    ("linux-image-amd64", "bookworm"),
    ("linux-image-cloud-amd64", "bullseye"),
    ("linux-image-cloud-amd64", "trixie"),
)


@pytest.fixture
def image_of():
    """`image_of(data)`: the KernelImage of some bytes."""
    return lambda data: KernelImage(KernelFile("vmlinuz-test", data, None))


@pytest.fixture(scope="session", params=writers.LAYOUTS)
def small(request) -> tuple[str, KernelImage]:
    """(layout, image) of a small kernel in each of the kallsyms layouts."""
    return request.param, KernelImage(KernelFile("small", writers.vmlinux(request.param), None))


@pytest.fixture(scope="session", params=REAL, ids=lambda p: f"{p[1]}-{p[0].removeprefix('linux-image-')}")
def real(request) -> KernelImage:
    """A kernel that Debian ships today."""
    from tinyvmi_build.lab.machine.packages import fetch_kernel

    try:
        package = fetch_kernel(*request.param)
    except MissingEnvironmentError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no package: {error.message}")
    return KernelImage.load(package)
