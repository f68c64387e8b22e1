"""The reader that goes through LibVMI, compiled against an installation that the user names."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.lab.machine.libraries import closure
from tinyvmi_build.paths import data_dir

#: LibVMI opens these by name when it starts.
_OPENED = ("libxenctrl.so", "libxenstore.so")
_LOADER = "ld-linux-x86-64.so.2"


def reader(prefix: Path, folder: Path, at: str | None = None) -> Path:
    """minios_app/bench/libvmi.c as a program in `folder`.

    With `at`, a folder in another system that will hold it and its libraries, it takes these from there.
    """
    header = prefix / "include/libvmi/libvmi.h"
    if not header.is_file():
        raise UsageError(f"{prefix} holds no LibVMI: {header} is missing")
    program = folder / "read"
    libraries = prefix / "lib"
    argv = ["gcc", "-O2", "-Wall", "-o", str(program), str(data_dir("minios_app") / "bench/libvmi.c")]
    argv += [f"-I{prefix}/include", *_glib(), f"-L{libraries}", "-lvmi", "-Wl,--disable-new-dtags"]
    argv += [f"-Wl,-rpath,{at or libraries}"]
    if at:
        argv += [f"-Wl,--dynamic-linker={at}/{_LOADER}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingEnvironmentError(f"the reader for LibVMI does not compile: {done.stderr.strip()[-600:]}")
    return program


def reader_files(prefix: Path, folder: Path, at: str) -> dict[str, Path]:
    """Path in the lab's dom0 → file: the reader, named `read`, and every library that it needs, in `at`."""
    program = reader(prefix, folder, at)
    root = folder / "root"
    root.mkdir(exist_ok=True)
    for name in ("lib64", "usr"):
        (root / name).symlink_to(Path("/") / name)
    (root / "lib").mkdir()
    (root / "lib/x86_64-linux-gnu").symlink_to(prefix.resolve() / "lib")
    return {
        f"{at}/read": program,
        **{f"{at}/{name}": path for name, path in closure(root, [program], [*_OPENED, _LOADER]).items()},
    }


def _glib() -> list[str]:
    """The compiler's flags for GLib, which LibVMI's header includes."""
    argv = ["pkg-config", "--cflags", "glib-2.0"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []
