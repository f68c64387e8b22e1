"""Programs by which a guest has its kernel's code changed by the kernel's own means; built from guest/."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyvmi_build.lab.packages import fetch_packages, unpack
from tinyvmi_build.paths import cache_dir

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
    """guest/livepatch.c as a module of the kernel in `kernel_deb`, built with Debian's headers for it.

    Kept in the cache: a dump is kept by what its guest was given.
    """
    release = re.sub(r"^linux-(image|binary)-", "", kernel_deb.name.partition("_")[0])
    built = cache_dir("test-modules", release) / "livepatch.ko"
    if built.exists():
        return built
    if shutil.which("make") is None:
        pytest.skip("a module cannot be built without make")
    headers = fetch_packages([f"linux-headers-{release}"], suite)[f"linux-headers-{release}"]
    depends = subprocess.run(
        ["dpkg-deb", "-f", headers, "Depends"], capture_output=True, text=True, check=True
    )
    others = re.findall(r"linux-headers-\S+-common|linux-kbuild-[^\s,(]+", depends.stdout)
    debs = [headers, *fetch_packages(others, suite).values()]
    tree = unpack(debs, built.parent / "headers")
    source = tree / "usr/src" / f"linux-headers-{release}"
    makefile = source / "Makefile"
    makefile.write_text(re.sub(r"(?<= )/usr/src", str(tree / "usr/src"), makefile.read_text()))
    module = built.parent / "module"
    module.mkdir(exist_ok=True)
    shutil.copyfile(SOURCES / "livepatch.c", module / "livepatch.c")
    (module / "Makefile").write_text("obj-m := livepatch.o\n")
    _run("make", "-C", source, f"M={module}", "CC=gcc", "modules")
    shutil.copyfile(module / "livepatch.ko", built)
    shutil.rmtree(tree)
    shutil.rmtree(module)
    return built
