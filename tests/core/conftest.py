"""The C core's parts as shared objects that the tests call."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core import digests
from tinyvmi_build.checks import registry
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.env import environment, render

FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-mgeneral-regs-only", "-shared", "-fPIC"]


def write_check_numbers(folder: Path) -> None:
    """Write <tinyvmi_checks.h>, which every build generates, into `folder`."""
    known = {"known": registry.names(), "kinds": registry.finding_kinds()}
    text = render(environment(data_dir("templates")), "c/checks.h.j2", "x.h", known)
    (folder / "tinyvmi_checks.h").write_text(text)


def core_include(folder: Path) -> list[str]:
    """Options for C that includes the core's headers; what is generated of them is written into `folder`."""
    core = data_dir("minios_app")
    write_check_numbers(folder)
    return [f"-I{path}" for path in (core / "include", core, folder)]


def check_table(folder: Path, *checks: str) -> Path:
    """The generated table of `checks`, and that of all kinds of findings."""
    values = {"checks": list(checks), "kinds": registry.finding_kinds()}
    path = folder / "checks_table.c"
    path.write_text(render(environment(data_dir("templates")), "c/checks.c.j2", "x.c", values))
    return path


def compile_shared(folder: Path, name: str, *sources: Path, compiler: str = "gcc") -> ctypes.CDLL:
    """Compile C files of the core into a library; the freestanding flags are those of the monitor."""
    library = folder / f"{name}.so"
    include = core_include(folder)
    subprocess.run([compiler, *FLAGS, *include, *map(str, sources), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="session", params=["gcc", "clang"])
def digest_library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], ctypes.CDLL]:
    """`digest_library("sha256")`: that algorithm with all its variants, compiled once."""
    made: dict[str, ctypes.CDLL] = {}

    def library(algorithm: str) -> ctypes.CDLL:
        if algorithm not in made:
            folder = tmp_path_factory.mktemp(f"{algorithm}-{request.param}")
            made[algorithm] = digests.compiled(folder, digests.sources(algorithm), request.param)
        return made[algorithm]

    return library


RECORD_PLATFORM = """
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>
static char written[8192];
static size_t used;
static struct tv_costs costs;
static void keep(void *context, const char *s, size_t n) { (void)context; memcpy(written, s, n); used = n; }
uint64_t tv_now_ns(void) { return 0; }
struct tv_record_writer *writer(void);
struct tv_record_writer *writer(void)
{
    static struct tv_record_writer w;

    tv_record_writer_init(&w, &(const struct tv_sink){ .write = keep }, &costs);
    return &w;
}
const char *last(void);
const char *last(void) { written[used] = 0; return written; }
"""


class Writer:
    """record.c: `writer.uint(b"key", 1)` is tv_record_uint() of one writer."""

    def __init__(self, library: ctypes.CDLL):
        self.library = library
        library.writer.restype = ctypes.c_void_p
        library.last.restype = ctypes.c_char_p
        self._writer = ctypes.c_void_p(library.writer())

    def __getattr__(self, name: str) -> Callable[..., None]:
        call = getattr(self.library, f"tv_record_{name}")
        return lambda *args: call(self._writer, *args)

    def last(self) -> bytes:
        """The line that was written last."""
        return bytes(self.library.last())


@pytest.fixture(scope="session")
def record_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """record.c over a sink that keeps what is written."""
    folder = tmp_path_factory.mktemp("record")
    platform = folder / "platform.c"
    platform.write_text(RECORD_PLATFORM)
    core = data_dir("minios_app")
    parts = ("monitor/record.c", "introspect/cost.c", "digest/crc32.c")
    return compile_shared(folder, "record", platform, *(core / part for part in parts))


@pytest.fixture
def writer(record_library: ctypes.CDLL) -> Writer:
    return Writer(record_library)
