"""C as a module of a Debian kernel, built with Debian's headers for it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.packages import SUITE, fetch_packages, unpack
from tinyvmi_build.paths import cache_dir


def built_module(code: Path, kernel_deb: Path, suite: str = SUITE) -> Path:
    """The C file `code` as a module of the kernel in `kernel_deb`, a package of Debian's `suite`.

    Kept in the cache, by what the file says.  MissingEnvironmentError if there is no make, or no headers.
    """
    release = re.sub(r"^linux-(image|binary)-", "", kernel_deb.name.partition("_")[0])
    digest = hashlib.sha256(code.read_bytes()).hexdigest()[:16]
    built = cache_dir("test-modules", release, digest) / f"{code.stem}.ko"
    if built.exists():
        return built
    if shutil.which("make") is None:
        raise MissingEnvironmentError(
            "a kernel module cannot be built without make", hint="apt-get install make"
        )
    headers = fetch_packages([f"linux-headers-{release}"], suite)[f"linux-headers-{release}"]
    depends = _run("dpkg-deb", "-f", headers, "Depends")
    others = re.findall(r"linux-headers-\S+-common|linux-kbuild-[^\s,(]+", depends)
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


def _run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingEnvironmentError(f"{command[0]}: {(done.stdout + done.stderr).strip()[-1000:]}")
    return done.stdout
