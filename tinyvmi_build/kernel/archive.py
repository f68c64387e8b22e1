"""Debian packages and what they are made of: an ar(5) archive with two tar(5) archives in it.

Read here and not with Python's tarfile, which obeys whatever sizes a header claims: it reads a name of
gigabytes into memory and skips beyond the end for ever.  Nothing is written to the file system.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.unpack import Reader, reader

AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_BLOCK = 512
_CHUNK = 1 << 20
_NAME_MAX = 1 << 16  # bytes of a long name or of a pax header
_CONTROL_MAX = 1 << 16
_UNPACKED_MAX = 4 << 30  # no kernel package comes near it


@dataclass(frozen=True)
class Entry:
    """One member of a tar archive."""

    name: str
    size: int
    regular: bool


def is_package(data: bytes) -> bool:
    """Whether `data` is a Debian package, or the beginning of one."""
    return data.startswith(AR_MAGIC)


def package_entries(data: bytes, where: str) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
    """Each entry of the package `data`, with what reads it, which works until the next is asked for.

    UsageError, naming `where`, if the package is damaged, or is one of another machine.
    """
    refuse_foreign(data, where)
    name, content = next((m for m in _members(data, where) if m[0].startswith("data.tar")), ("", None))
    if content is None:
        raise UsageError(
            f"{where}: the package holds no data.tar (truncated?)", hint="fetch the package again"
        )
    if content.nbytes and name != "data.tar" and reader(content) is None:
        raise _damaged(where, f"{name} is not compressed as its name says")
    yield from _Tar(reader(content) or _Plain(content), where).entries()


def refuse_foreign(data: bytes, where: str) -> None:
    """Raise UsageError if `data`, at least the head of a package, says that it cannot hold what is wanted."""
    fields = control_fields(data)
    name, architecture = fields.get("Package", ""), fields.get("Architecture", "amd64")
    if name.endswith(("-dbg", "-dbgsym")):
        raise UsageError(
            f"{where}: '{name}' is a package of debug symbols, without a kernel to boot",
            hint=f"give {name.rpartition('-dbg')[0]}; `profile import --types` takes the vmlinux inside",
        )
    if architecture not in ("amd64", "all"):
        raise UsageError(
            f"{where}: a package for {architecture}",
            hint="only x86-64 kernels are checked: give the amd64 package",
        )


def control_fields(data: bytes) -> dict[str, str]:
    """The fields of the package's control file; none if they cannot be read."""
    try:
        for name, content in _members(data, ""):
            if not name.startswith("control.tar"):
                continue
            for entry, read in _Tar(reader(content) or _Plain(content), "").entries():
                if entry.name.removeprefix("./") == "control" and entry.size <= _CONTROL_MAX:
                    lines = read().decode("utf-8", "replace").splitlines()
                    pairs = (line.partition(":") for line in lines if line[:1].strip())
                    return {key: value.strip() for key, _, value in pairs}
    except UsageError:
        pass
    return {}


def _members(data: bytes, where: str) -> Iterator[tuple[str, memoryview]]:
    """(name, bytes) of each member of the ar archive."""
    at = len(AR_MAGIC)
    view = memoryview(data)
    while at + _AR_HEADER <= len(data):
        header = data[at : at + _AR_HEADER]
        name = header[:16].decode("ascii", "replace").rstrip().rstrip("/")
        digits = header[48:58].strip()
        if header[58:60] != b"`\n" or not digits.isdigit():
            raise UsageError(f"{where}: the package is damaged at byte {at}", hint="fetch the package again")
        size = int(digits)
        at += _AR_HEADER
        if at + size > len(data):
            raise UsageError(
                f"{where}: truncated: {at + size - len(data)} bytes are missing",
                hint="fetch the package again",
            )
        yield name, view[at : at + size]
        at += size + size % 2


class _Plain:
    """Bytes as a stream."""

    def __init__(self, data: memoryview):
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        size = len(self._data) if size < 0 else size
        part, self._data = bytes(self._data[:size]), self._data[size:]
        return part


class _Tar:
    """A tar archive that is read once, from front to back."""

    def __init__(self, source: Reader, where: str):
        self._source = source
        self._where = where
        self._read = 0  # bytes so far
        self._left = 0  # of the entry that is being read, its padding included

    def entries(self) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
        long_name: str | None = None
        pax: dict[str, str] = {}
        while True:
            self._skip()
            header = self._take(_BLOCK, end_allowed=True)
            if not header.strip(b"\0"):
                return
            kind, size = header[156:157], self._size(header)
            if kind in (b"L", b"K", b"x", b"g"):
                content = self._meta(size)
                if kind == b"L":
                    long_name = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
                elif kind == b"x":
                    pax = self._pax(content)
                continue
            if "size" in pax:
                size = self._checked(
                    int(pax["size"]) if pax["size"].isascii() and pax["size"].isdigit() else -1
                )
            name = pax.get("path") or long_name or _name(header)
            long_name, pax = None, {}
            self._left = -(-size // _BLOCK) * _BLOCK
            yield Entry(name, size, kind in (b"0", b"\0", b"7")), partial(self._content, size)

    def _content(self, size: int) -> bytes:
        content = self._take(size)
        self._left -= size
        return content

    def _meta(self, size: int) -> bytes:
        """The content of an entry that describes the next one."""
        if size > _NAME_MAX:
            raise _damaged(self._where, f"a name in it claims {size:,} bytes")
        return self._take(-(-size // _BLOCK) * _BLOCK)[:size]

    def _pax(self, content: bytes) -> dict[str, str]:
        """The records "LENGTH KEY=VALUE\\n" of a pax header."""
        found: dict[str, str] = {}
        at = 0
        while at < len(content):
            digits = content[at : at + 6].partition(b" ")[0]
            length = int(digits) if digits.isdigit() else 0
            if not len(digits) < length <= len(content) - at:
                raise _damaged(self._where, "a pax header is malformed")
            record = content[at + len(digits) + 1 : at + length]
            key, _, value = record.decode("utf-8", "backslashreplace").rstrip("\n").partition("=")
            found[key] = value
            at += length
        return found

    def _size(self, header: bytes) -> int:
        """The size field, octal or in base 256, of a header whose checksum is right."""
        unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
        if self._octal(header[148:156]) != unsigned:
            raise _damaged(self._where, "a header's checksum is wrong")
        field = header[124:136]
        if field[0] & 0x80:
            return self._checked(int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big"))
        return self._checked(self._octal(field))

    def _octal(self, field: bytes) -> int:
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise _damaged(self._where, "a number in a header is malformed")
        return int(digits or b"0", 8)

    def _checked(self, size: int) -> int:
        if not 0 <= size <= _UNPACKED_MAX:
            raise _damaged(
                self._where, f"a file in it claims {size:,} bytes" if size >= 0 else "a size is malformed"
            )
        return size

    def _skip(self) -> None:
        while self._left:
            self._left -= len(self._take(min(self._left, _CHUNK)))

    def _take(self, size: int, end_allowed: bool = False) -> bytes:
        """`size` bytes; "" at the end if that is allowed."""
        parts, missing = [], size
        try:
            while missing and (part := self._source.read(min(missing, _CHUNK))):
                parts.append(part)
                missing -= len(part)
                self._read += len(part)
                if self._read > _UNPACKED_MAX:
                    raise _damaged(self._where, f"it unpacks to more than {_UNPACKED_MAX >> 30} GiB")
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise _damaged(self._where, str(error)) from None
        if missing and (parts or not end_allowed):
            raise _damaged(self._where, "the end is missing")
        return b"".join(parts)


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and (prefix := header[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    return name.decode("utf-8", "backslashreplace")


def _damaged(where: str, what: str) -> UsageError:
    return UsageError(f"{where}: the package is damaged or truncated: {what}", hint="fetch the package again")
