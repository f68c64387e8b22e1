"""The patch sites of a real kernel."""

from tinyvmi_build.bench.growth import patch_sites
from tinyvmi_build.profile.profile import ProfileFile


def test_patch_sites_are_counted(built):
    (kernel,) = ProfileFile.load(built.profile).kernels
    assert (patch_sites(kernel) or 0) > 10_000
