"""A small kernel without symbols of its own takes them from an ISF."""

from __future__ import annotations

import json
from pathlib import Path

from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import KernelFile
from tinyvmi_build.profile.isf import isf
from tinyvmi_build.profile.isf_read import isf_btf, read_isf
from tinyvmi_build.profile.profile import KernelProfile


def test_the_small_kernel_of_the_tests(profile: KernelProfile, image: KernelImage, tmp_path: Path) -> None:
    """Also where a kernel has its own: what is given wins."""
    (tmp_path / "t.json").write_text(json.dumps(isf(profile)))
    given = KernelImage(
        KernelFile("k", image.elf.data, None), btf=isf_btf(read_isf(tmp_path / "t.json"), "t")
    )
    assert given.btf.sizeof("struct task_struct") == image.btf.sizeof("struct task_struct")
    assert given.btf.data != image.btf.data
