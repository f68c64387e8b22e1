"""Unit tests run without network, compiler and emulator: what needs one is a test of another tier."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_PROGRAMS = ("gcc", "cc", "clang", "ld", "as", "objdump", "meson", "ninja", "apt-get", "apt-cache")
_EMULATOR = "qemu-system-"
_watched = False


class WrongTierError(Exception):
    """A unit test asked for what only other tiers may use."""


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not _watched:
        return
    if event == "subprocess.Popen":
        name = Path(os.fsdecode(arguments[0])).name  # type: ignore[arg-type]
        if name in _PROGRAMS or name.startswith(_EMULATOR):
            raise WrongTierError(f"a unit test starts {name}: move it to tests/core or tests/build")
    elif event == "socket.getaddrinfo":
        raise WrongTierError("a unit test uses the network")


sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _watched
    if not item.path.is_relative_to(Path(__file__).parent):
        return (yield)  # pytest calls this for the tests of all folders
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYVMI_CACHE", str(_empty_cache()))  # packages that other tiers have fetched
        _watched = True
        try:
            return (yield)
        finally:
            _watched = False


@functools.cache
def _empty_cache() -> Path:
    folder = tempfile.mkdtemp(prefix="tinyvmi-unit-cache.")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
