"""Programs by which a guest has its kernel's code changed by the kernel's own means; built from guest/."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyvmi_build.lab.machine.kernel_module import built_module

SOURCES = Path(__file__).with_name("guest")


def _run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}\n{done.stderr}"


def bpf_loader(folder: Path) -> Path:
    """The program of guest/bpf.c, for a guest without libraries."""
    program = folder / "bpf"
    _run("gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", SOURCES / "bpf.c", "-o", program)
    return program


def livepatch_module(kernel_deb: Path, suite: str) -> Path:
    """guest/livepatch.c as a module of the kernel in `kernel_deb`."""
    return module_of(SOURCES / "livepatch.c", kernel_deb, suite)


def module_of(code: Path, kernel_deb: Path, suite: str) -> Path:
    """`code` as a module of that kernel; without make the test is left out."""
    if shutil.which("make") is None:
        pytest.skip("a module cannot be built without make")
    return built_module(code, kernel_deb, suite)
