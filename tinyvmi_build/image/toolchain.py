"""What a build needs from the machine, and how to get what is missing."""

from __future__ import annotations

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
    found = subprocess.run(
        ["gcc", "-print-file-name=libxenforeignmemory.a"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not Path(found).is_absolute():
        raise MissingEnvironmentError(
            "to build a program for dom0, this machine lacks Xen's static libraries",
            hint="apt-get install libxen-dev",
        )
