"""A profile of a small kernel, and a cache of the test's own."""

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import KernelFile
from tinyvmi_build.profile.build import profile_of

OTHER_ID = bytes(range(20))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Built profiles go to a folder of the test's own."""
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "profiles"


@pytest.fixture(scope="session")
def image() -> KernelImage:
    return KernelImage(KernelFile("small.deb", writers.vmlinux("6.1"), None))


@pytest.fixture(scope="session")
def profile(image):
    return profile_of(image)


@pytest.fixture(scope="session")
def other():
    data = writers.vmlinux("6.12", build_id=OTHER_ID, banner="Linux version 1.2.3 (x)\n")
    return profile_of(KernelImage(KernelFile("other.deb", data, None)))
