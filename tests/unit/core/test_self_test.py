"""The self-test of a monitor with a broken SHA-256 fails."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.unit.core.conftest import compile_shared
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render import sha256
from tinyvmi_build.render.env import environment, render


@pytest.mark.parametrize(
    ("good", "bad"),
    [("ror(e, 11)", "ror(e, 12)"), ("0x428a2f98U", "0x428a2f99U"), ("rest < 56", "rest < 57")],
)
def test_a_fault_is_noticed(tmp_path: Path, good: str, bad: str) -> None:
    env = environment(data_dir("templates"))
    code = render(env, "c/sha256.c.j2", "sha256.c", sha256.context())
    assert good in code
    (tmp_path / "sha256.c").write_text(code.replace(good, bad, 1))
    library = compile_shared(tmp_path, "broken", tmp_path / "sha256.c")
    library.tv_sha256_self_test.restype = ctypes.c_bool
    assert not library.tv_sha256_self_test()
