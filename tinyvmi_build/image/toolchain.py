"""The toolchain: what a build needs, how to get what is missing, and how an image describes it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError

XEN_HEADER = Path("/usr/include/xen/xen.h")
_PROGRAMS = {"gcc": "gcc", "ld": "binutils", "strip": "binutils"}
_MODULES = {"mesonbuild": "meson", "ninja": "ninja"}


def require_toolchain() -> None:
    """Raise MissingEnvironmentError naming everything that is missing and the commands that bring it."""
    programs = [name for name in _PROGRAMS if shutil.which(name) is None]
    modules = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    packages = {_PROGRAMS[name] for name in programs}
    missing = programs + [_MODULES[name] for name in modules]
    if not XEN_HEADER.is_file():
        missing.append("Xen's public headers")
        packages.add("libxen-dev")
    commands = []
    if packages:
        commands.append(f"apt-get install {' '.join(sorted(packages))}")
    if modules:
        commands.append(f"pip install {' '.join(_MODULES[name] for name in modules)}")
    if missing:
        raise MissingEnvironmentError(
            f"to build a monitor, this machine lacks {', '.join(missing)}", hint=" && ".join(commands)
        )


def require_xen_libraries() -> None:
    """Raise MissingEnvironmentError unless the static libraries of Xen for a program of dom0 are there."""
    if not Path(_output(["gcc", "-print-file-name=libxenforeignmemory.a"])).is_absolute():
        raise MissingEnvironmentError(
            "to build a program for dom0, this machine lacks Xen's static libraries",
            hint="apt-get install libxen-dev",
        )


def describe_toolchain() -> dict[str, str]:
    """Everything outside our own sources that decides an image's bytes: program → version, headers → digest.

    It stands in the image's note and so decides the image id.  It names no path: two machines with the same
    packages describe the same toolchain.  The compiler's flags are in our sources, which have a hash of their
    own, but for those that meson adds.  What is missing has the version "".
    """
    from tinyvmi_build.render.descriptor import tree_hash  # needs jinja2, which `doctor` does without

    return {
        "compiler": _version("gcc"),
        "assembler": _version(_output(["gcc", "-print-prog-name=as"]) or "as"),
        "linker": _version(_output(["gcc", "-print-prog-name=ld"]) or "ld"),
        "meson": _distribution("meson"),
        "xen_headers": tree_hash(XEN_HEADER.parent)[:16],
    }


def _version(program: str) -> str:
    """The first line that `program --version` prints: distributions put their own revision there."""
    return _output([program, "--version"]).partition("\n")[0]


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _output(command: list[str]) -> str:
    """What a command prints; "" if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
