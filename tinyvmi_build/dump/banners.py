"""Which Linux kernels a memory image may hold, by their banners: for the kernel that no profile knows."""

from __future__ import annotations

import re
from pathlib import Path

from tinyvmi_build.files import DUMP, mapped

_PREFIX = b"Linux version "
# linux_banner (init/version.c) ends in a newline and a NUL, as copies in the log and format strings do not.
# Kernels since 6.1 leave drafts of it in memory: one without a build number, one with a longer end.
_BANNER = re.compile(rb"Linux version ([0-9][!-~]*) [ -~]{10,400} #[0-9]+ [ -~]{1,100}(?=\n\0)")
_MAX_BYTES = 8 << 30  # of the file that are searched
_MAX_BANNERS = 4


def banners(path: Path) -> list[str]:
    """One banner for each release that the file names, at most four, as they come; printable ASCII."""
    found: dict[bytes, str] = {}
    with mapped(path, DUMP) as data:
        end = min(len(data), _MAX_BYTES)
        at = data.find(_PREFIX, 0, end)
        while at >= 0:
            match = _BANNER.match(data, at)
            if match and (match[1] in found or len(found) < _MAX_BANNERS):
                texts = (match[0].decode("ascii"), found.get(match[1]))
                found[match[1]] = min((t for t in texts if t), key=len)
            at = data.find(_PREFIX, at + len(_PREFIX), end)
    return list(found.values())
