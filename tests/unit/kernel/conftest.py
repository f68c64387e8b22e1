"""Small kernels."""

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import KernelFile


@pytest.fixture
def image_of():
    """`image_of(data)`: the KernelImage of some bytes."""
    return lambda data: KernelImage(KernelFile("vmlinuz-test", data, None))


@pytest.fixture(scope="session", params=writers.LAYOUTS)
def small(request) -> tuple[str, KernelImage]:
    """(layout, image) of a small kernel in each of the kallsyms layouts."""
    return request.param, KernelImage(KernelFile("small", writers.vmlinux(request.param), None))
