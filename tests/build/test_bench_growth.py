"""The patch sites of a real kernel."""

from tinyvmi_build.checks import registry
from tinyvmi_build.profile.profile import ProfileFile


def test_patch_sites_are_counted(built):
    (kernel,) = ProfileFile.load(built.profile).kernels
    assert registry.patch_sites(kernel) > 10_000
