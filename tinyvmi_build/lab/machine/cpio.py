"""Archives in cpio's "newc" form, what Linux takes as an initramfs.

Written here because the cpio program is often missing and records the
builder's user, inode numbers and times: these archives are root's, dated 0
and byte-identical for one input.  Format: Linux's
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_BLOCK = 512  # archives may be concatenated: the kernel skips zeros between them


class Archive:
    """Entries by path; parents are created as needed, and a later entry replaces an earlier one."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes | Path]] = {}

    def directory(self, path: str, mode: int = 0o755) -> None:
        path = path.strip("/")
        if path and path not in self._entries:
            self._parents(path)
            self._entries[path] = (stat.S_IFDIR | mode, b"")

    def file(self, path: str, content: bytes | str | Path, mode: int = 0o644) -> None:
        """A regular file with `content`, or with that of the file at the Path `content`."""
        self._parents(path)
        data = content.encode() if isinstance(content, str) else content
        self._entries[path.strip("/")] = (stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        self._parents(path)
        self._entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A character device."""
        self._parents(path)
        self._entries[path.strip("/")] = (stat.S_IFCHR | mode, f"{major}:{minor}".encode())

    def copy(self, path: str, source: Path) -> None:
        """The file, symbolic link or directory tree at `source`; the executable bit is kept."""
        if source.is_symlink():
            self.symlink(path, os.readlink(source))
        elif source.is_dir():
            self.directory(path)
            for child in sorted(source.iterdir()):
                self.copy(f"{path}/{child.name}", child)
        else:
            self.file(path, source, 0o755 if os.access(source, os.X_OK) else 0o644)

    def write(self, out: BinaryIO) -> None:
        """Write the archive, padded so that another one may follow."""
        size = 0
        for inode, path in enumerate(sorted(self._entries), 1):
            mode, content = self._entries[path]
            data = content.read_bytes() if isinstance(content, Path) else content
            device = (0, 0)
            if stat.S_ISCHR(mode):
                major, minor = data.decode().split(":")
                device, data = (int(major), int(minor)), b""
            size += out.write(_entry(path, inode, mode, data, device))
        size += out.write(_entry("TRAILER!!!", 0, 0, b"", (0, 0)))
        out.write(bytes(-size % _BLOCK))

    def _parents(self, path: str) -> None:
        parent = path.strip("/").rpartition("/")[0]
        if parent:
            self.directory(parent)


def _entry(path: str, inode: int, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    name = path.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
