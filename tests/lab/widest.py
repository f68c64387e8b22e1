"""Monitors that digest by the widest registers there are, where something else may be faster."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyvmi_build import paths


@contextlib.contextmanager
def sources_without_timing(folder: Path) -> Iterator[None]:
    """Build from a copy of the sources in `folder` that times no variant: the last one serves."""
    for name in ("minios_app", "templates", "toolchain"):
        shutil.copytree(paths.data_dir(name), folder / name)
    source = folder / "minios_app/digest/digest.c"
    text = source.read_text()
    assert "#define TRIES 5" in text
    source.write_text(text.replace("#define TRIES 5", "#define TRIES 0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_PACKAGE", folder / "tinyvmi_build")
        yield
