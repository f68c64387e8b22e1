"""Profiles of real kernels, in the time that is promised."""

from __future__ import annotations

import os
import time

import pytest

from tinyvmi_build.checks import registry
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.profile.build import build
from tinyvmi_build.progress import Progress


@pytest.mark.parametrize("metapackage", ("linux-image-cloud-amd64", "linux-image-amd64"))
def test_real_kernel(metapackage, monkeypatch, tmp_path):
    from tinyvmi_build.lab.machine.packages import fetch_kernel

    try:
        package = fetch_kernel(metapackage)
    except MissingEnvironmentError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no package: {error.message}")
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    start = time.process_time()  # not the wall clock: others use this machine too
    profile = build([package], Progress(quiet=True)).kernels[0]
    built = time.process_time() - start
    start = time.process_time()
    again = build([package], Progress(quiet=True)).kernels[0]
    known = time.process_time() - start
    assert built < 10, "the promise for a generic kernel"
    assert known < 1
    assert again.build_id == profile.build_id
    assert not [check.name for check in registry.checks() if profile.unsupported(check.name)]
