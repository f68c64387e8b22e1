"""The Linux guest that is watched: an initramfs of busybox and one script.

Its init loads the modules that were given to it, runs a script if there is
one, prints READY on the console and then takes commands there, one a
line: `run ID COMMAND`.  It answers with the command's output and a line
`DONE ID STATUS`.  Nothing else runs in it, so its kernel stays as it booted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from tinyvmi_build.lab.machine.cpio import Archive
from tinyvmi_build.lab.machine.packages import fetch_packages, unpack
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

READY = re.compile(r"TINYVMI-GUEST ready (\S+)")
FAILED = re.compile(r"TINYVMI-GUEST failed (.*)")
DONE = re.compile(r"TINYVMI-GUEST done (\S+) (\d+)")


def busybox(progress: Progress | None = None) -> Path:
    """Debian's static busybox."""
    deb = fetch_packages(["busybox-static"], progress=progress)["busybox-static"]
    folder = unpack([deb], cache_dir("unpacked") / deb.stem)
    merged = folder / "usr/bin/busybox"
    return merged if merged.exists() else folder / "bin/busybox"


def initramfs(
    progress: Progress | None = None,
    modules: Mapping[str, bytes] | None = None,
    script: str = "",
    files: Mapping[str, bytes | Path] | None = None,
) -> bytes:
    """The guest's initramfs, uncompressed.

    `modules` (name → .ko) are loaded in their order, then `script` is run by
    its shell, with /proc and /sys there, until a command in it fails; `files`
    (path → content) are put in, executable.
    """
    archive = Archive()
    for name in ("proc", "sys", "dev", "tmp"):
        archive.directory(name)
    archive.device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox(progress), 0o755)
    archive.symlink("bin/sh", "busybox")
    archive.file("init", Path(__file__).with_name("init.sh"), 0o755)
    for path, content in (files or {}).items():
        archive.file(path, content, 0o755)
    for number, (name, data) in enumerate((modules or {}).items()):
        archive.file(f"modules/{number:03d}-{name}.ko", data)
    if script:
        archive.file("before", script)
    out = io.BytesIO()
    archive.write(out)
    return out.getvalue()
