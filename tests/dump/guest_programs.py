"""Programs by which a guest has its kernel's code changed by the kernel's own means; built from guest/."""

from __future__ import annotations

import hashlib
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
    """guest/livepatch.c as a module of the kernel in `kernel_deb`."""
    return built_module(SOURCES / "livepatch.c", kernel_deb, suite)


def built_module(code: Path, kernel_deb: Path, suite: str) -> Path:
    """The C file `code` as a module of the kernel in `kernel_deb`, built with Debian's headers for it.

    Kept in the cache, by what the file says: a dump is kept by what its guest was given.
    """
    release = re.sub(r"^linux-(image|binary)-", "", kernel_deb.name.partition("_")[0])
    digest = hashlib.sha256(code.read_bytes()).hexdigest()[:16]
    built = cache_dir("test-modules", release, digest) / f"{code.stem}.ko"
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
    shutil.copyfile(code, module / code.name)
    (module / "Makefile").write_text(f"obj-m := {code.stem}.o\n")
    _run("make", "-C", source, f"M={module}", "CC=gcc", "modules")
    shutil.copyfile(module / built.name, built)
    shutil.rmtree(tree)
    shutil.rmtree(module)
    return built
