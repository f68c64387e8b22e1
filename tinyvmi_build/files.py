"""Files that the user names: read with a bound, written as a whole or not at all.

Only regular files are read.  A device has no end, a pipe may never be filled, and opening either can
have effects of its own.  Every kind of file has a size beyond which it cannot be what it should be.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError, UsageError


@dataclass(frozen=True)
class FileKind:
    """What a file should be, with its article, and the size that no such file exceeds."""

    name: str
    bytes_max: int


CONFIG = FileKind("a configuration", 1 << 20)
DUMP = FileKind("a memory image", 1 << 46)  # mapped, never read as a whole
IMAGE = FileKind("an image of a monitor", 256 << 20)
KERNEL = FileKind("a kernel package", 1 << 30)
MAKEFILE = FileKind("a makefile", 1 << 20)
MANIFEST = FileKind("a manifest", 1 << 20)
MODULE = FileKind("a kernel module", 256 << 20)
PROFILE = FileKind("a profile", 1 << 30)
RESULT = FileKind("a result of bench", 64 << 20)
SYMBOLS = FileKind("a table of symbols or types", 1 << 30)

_CHUNK = 1 << 20
_partials: set[str] = set()  # names of what this process is writing
# What is wrong with the machine and not with the path (exit 4).
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_OTHER_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: Path, kind: FileKind) -> BinaryIO:
    """The regular file at `path`, open for reading; TinyVMIError if it is none or too large."""
    try:
        _require_regular(path, os.stat(path), kind)
        # Without blocking: another process may put a pipe in the file's place meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        handle = os.fdopen(descriptor, "rb")
        try:
            _require_regular(path, os.fstat(descriptor), kind)
        except BaseException:
            handle.close()
            raise
        return handle
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None


def read_file(path: Path, kind: FileKind) -> bytes:
    """The content of the regular file at `path`; TinyVMIError as of `open_regular`."""
    with open_regular(path, kind) as handle:
        return read_rest(path, handle, kind)


def read_rest(path: Path, handle: BinaryIO, kind: FileKind, head: bytes = b"") -> bytes:
    """`head`, which was read before, and all that follows it in `handle`."""
    chunks, size = [head], len(head)
    try:
        while chunk := handle.read(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > kind.bytes_max:
                raise _too_large(path, kind)
    except OSError as error:
        raise cannot_read(path, error) from None
    return b"".join(chunks)


@contextlib.contextmanager
def mapped(path: Path, kind: FileKind) -> Iterator[mmap.mmap]:
    """The content, mapped for reading; TinyVMIError as of `open_regular`, and for an empty file."""
    with open_regular(path, kind) as handle:
        if os.fstat(handle.fileno()).st_size == 0:
            raise UsageError(f"{path}: the file is empty", hint=f"{kind.name} was expected")
        try:
            data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise cannot_read(path, error) from None
    with contextlib.closing(data):
        yield data


def read_text(path: Path, kind: FileKind) -> str:
    """The content as UTF-8 text; UsageError if it is none."""
    try:
        return read_file(path, kind).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text", hint=f"{kind.name} is a text file") from None


def cannot_read(path: Path, error: OSError | ValueError) -> TinyVMIError:
    """The error for a file that cannot be opened or read."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return _error(error)(f"{path}: cannot be read: {reason}", hint="check the path and its permissions")


def _require_regular(path: Path, state: os.stat_result, kind: FileKind) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise UsageError(f"{path}: is {_type(state)}", hint=f"{kind.name} is a regular file")
    if state.st_size > kind.bytes_max:
        raise _too_large(path, kind)


def _type(state: os.stat_result) -> str:
    return next((name for is_it, name in _OTHER_TYPES if is_it(state.st_mode)), "no regular file")


def _too_large(path: Path, kind: FileKind) -> UsageError:
    return UsageError(
        f"{path}: is larger than {kind.bytes_max >> 20:,} MiB",
        hint=f"{kind.name} is smaller: is it the right file?",
    )


def write_file(path: Path, content: bytes | str | Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write `content` to `path` at once or not at all; a link is followed, a device or pipe is refused."""
    parts = (
        [content]
        if isinstance(content, bytes)
        else [content.encode()]
        if isinstance(content, str)
        else content
    )
    final = _output(path)
    with _partial(path, final) as (name, partial):
        try:
            with partial:
                for part in parts:
                    partial.write(part)
                umask = os.umask(0)
                os.umask(umask)
                os.fchmod(partial.fileno(), mode & ~umask)
            os.replace(name, final)
        except OSError as error:
            raise cannot_write(path, error) from None


def require_writable(path: Path) -> None:
    """Raise the error that `write_file` would end with, before the work for it is done."""
    final = _output(path)
    with _partial(path, final):
        pass


def require_folder(path: Path) -> None:
    """Raise the error that making the folder `path` and writing into it would end with."""
    there = next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())
    if not there.is_dir():
        raise UsageError(f"{there}: is no folder", hint="it stands where a folder is to be made")
    require_writable(there / "x")


def cannot_write(path: Path, error: OSError | ValueError) -> TinyVMIError:
    """The error for a file that cannot be written."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "make room, or name another place" if full else "check that its folder exists and can be written"
    return _error(error)(f"{path}: cannot be written: {reason}", hint=hint)


def _error(error: OSError | ValueError) -> type[UsageError] | type[MissingEnvironmentError]:
    is_machine = isinstance(error, OSError) and error.errno in _MACHINE
    return MissingEnvironmentError if is_machine else UsageError


def _output(path: Path) -> str:
    """Where `path` leads; UsageError unless nothing or a regular file is there."""
    try:
        final = os.path.realpath(path)
        with contextlib.suppress(FileNotFoundError):
            state = os.stat(final)
            if not stat.S_ISREG(state.st_mode):
                raise UsageError(f"{path}: is {_type(state)}", hint="output goes to regular files only")
        return final
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


@contextlib.contextmanager
def _partial(path: Path, final: str) -> Iterator[tuple[str, BinaryIO]]:
    """The name of a new file beside `final`, and the file; whatever is left under that name goes."""
    folder, base = os.path.split(final)
    name = os.path.join(folder, f".{base[:100]}.{secrets.token_hex(6)}")
    _partials.add(name)  # first, so that a signal never finds a file that is not listed
    try:
        try:
            partial = os.fdopen(
                os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            )
        except (OSError, ValueError) as error:
            raise cannot_write(path, error) from None
        with partial:
            yield name, partial
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(name)
        _partials.discard(name)


def remove_partial_files() -> None:
    """Remove what this process has half written, where it ends without unwinding."""
    for name in _partials:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(name)
