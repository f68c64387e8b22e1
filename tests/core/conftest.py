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


def compile_shared(folder: Path, name: str, *sources: Path, compiler: str = "gcc") -> ctypes.CDLL:
    """Compile C files of the core into a library; the freestanding flags are those of the monitor."""
    library = folder / f"{name}.so"
    core = data_dir("minios_app")
    write_check_numbers(folder)
    include = [f"-I{path}" for path in (core / "include", core, folder)]
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


@pytest.fixture(scope="session")
def record_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """record.c over a platform that keeps what is written."""
    folder = tmp_path_factory.mktemp("record")
    platform = folder / "platform.c"
    platform.write_text(
        "#include <tinyvmi/platform.h>\n"
        "static char kept[8192];\nstatic size_t used;\n"
        "uint64_t tv_now_ns(void) { return 0; }\n"
        "void tv_console_write(const char *s, size_t n) { memcpy(kept, s, n); used = n; }\n"
        "const char *last(void); const char *last(void) { kept[used] = 0; return kept; }\n"
    )
    room = data_dir("minios_app") / "monitor"
    library = compile_shared(folder, "record", room / "record.c", room / "cost.c", platform)
    library.last.restype = ctypes.c_char_p
    return library
