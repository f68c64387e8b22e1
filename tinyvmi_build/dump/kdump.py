"""kdump-compressed dumps (makedumpfile, QEMU's `dump-guest-memory -z`), by libkdumpfile if it is there.

Their pages are compressed one by one, so they cannot be mapped: they are
written into a temporary file first.  The library (Debian's libkdumpfile10,
https://github.com/ptesarik/libkdumpfile, kdumpfile.h) is called by ctypes, so
that no binding has to match this Python, and in a process of its own: whatever a damaged dump does to
it becomes an error.  QEMU writes such dumps in makedumpfile's "flattened" form, pieces with their
offsets, which is put in order here.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tinyvmi_build.dump.kdump_layout import DISKDUMP, KDUMP, require_whole
from tinyvmi_build.dump.ranges import DAMAGED, MAX_GFN, PAGE, Image, Range, merged
from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError, UsageError
from tinyvmi_build.files import DUMP, open_regular

FLATTENED = b"makedumpfile\0"
MAGICS = (KDUMP, DISKDUMP, FLATTENED)
_LIBRARY = "libkdumpfile.so.10"
_OK, _NODATA = 0, 3  # enum kdump_status
_NUMBER = 2  # enum kdump_attr_type
_PHYSICAL = 1  # KDUMP_MACHPHYSADDR: those of the dump, with no kernel asked
_CHUNK = 1 << 20
_CACHED = 8
_FLAT_HEADER = 4096  # struct makedumpfile_header and its padding (makedumpfile's IMPLEMENTATION)
_FLAT_PIECE = struct.Struct(">qq")  # offset, size; -1 and -1 at the end


class _Attr(ctypes.Structure):
    """kdump_attr_t: the union holds at most 8 bytes."""

    _fields_ = [("type", ctypes.c_int), ("value", ctypes.c_uint64)]


def is_kdump(path: Path) -> bool:
    """Whether the file begins as such a dump does; False if it cannot be read."""
    try:
        with open_regular(path, DUMP) as file:
            return file.read(16).startswith(MAGICS)
    except TinyVMIError:
        return False


@contextlib.contextmanager
def expanded(path: Path) -> Iterator[Image]:
    """The image in the dump at `path`; its file is temporary and goes with the context.

    MissingEnvironmentError without the library, UsageError for a damaged dump.
    """
    library = _library()
    with contextlib.ExitStack() as stack:
        source: IO[bytes] = stack.enter_context(open_regular(path, DUMP))
        if source.read(len(FLATTENED)) == FLATTENED:
            plain = stack.enter_context(tempfile.TemporaryFile(prefix="tinyvmi-kdump."))
            _unflatten(path, source, plain)
            plain.flush()
            source = plain
        if os.fstat(source.fileno()).st_size == 0:
            raise UsageError(f"{path}: the flattened dump is empty", hint="save the memory again")
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:8] not in (KDUMP, DISKDUMP):
                raise UsageError(f"{path}: the flattened file holds no kdump", hint=DAMAGED)
            require_whole(path, data)
        pages = stack.enter_context(tempfile.NamedTemporaryFile(prefix="tinyvmi-kdump."))
        ranges = _read_apart(library, path, source.fileno(), pages.file)
        size = os.fstat(pages.fileno()).st_size
        yield Image(Path(pages.name), size, "kdump-compressed", merged(path, size, ranges))


def _read_apart(library: ctypes.CDLL, path: Path, fd: int, out: IO[bytes]) -> list[Range]:
    """`_read` in a child process, which a damaged dump may kill."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)

    def read() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
        try:
            sending.send(_read(library, path, fd, out))
        except (TinyVMIError, OSError) as error:
            sending.send(error)
        sending.close()

    child = context.Process(target=read, daemon=True)
    child.start()
    sending.close()
    try:
        result = receiving.recv()
    except EOFError:
        child.join()
        code = child.exitcode or 0
        cause = signal.Signals(-code).name if code < 0 else f"an unknown cause ({code})"
        raise UsageError(f"{path}: libkdumpfile dies of {cause} while it reads it", hint=DAMAGED) from None
    finally:
        child.kill()
        child.join()
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, list)
    return result


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise MissingEnvironmentError(
            "a kdump-compressed dump needs libkdumpfile, which is not installed",
            hint="apt-get install libkdumpfile10, or save it as ELF: QEMU's dump-guest-memory without"
            " -z, -l, -s; virsh dump --memory-only --format elf",
        ) from None
    library.kdump_new.restype = ctypes.c_void_p
    library.kdump_free.argtypes = [ctypes.c_void_p]
    library.kdump_get_err.restype = ctypes.c_char_p
    library.kdump_get_err.argtypes = [ctypes.c_void_p]
    library.kdump_open_fdset.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_int)]
    library.kdump_get_typed_attr.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Attr)]
    library.kdump_set_attr.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Attr)]
    library.kdump_read.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_uint64,
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
    ]
    return library


def _read(library: ctypes.CDLL, path: Path, fd: int, out: IO[bytes]) -> list[Range]:
    """Write all pages of the dump `fd` to `out`; which frames they are."""
    context = library.kdump_new()
    if not context:
        raise MissingEnvironmentError("libkdumpfile has no memory left")

    def need(status: int) -> None:
        if status != _OK:
            said = (library.kdump_get_err(context) or b"").decode("utf-8", "replace")
            raise UsageError(f"{path}: libkdumpfile cannot read it: {said}", hint=DAMAGED)

    try:
        need(library.kdump_open_fdset(context, 1, ctypes.byref(ctypes.c_int(fd))))
        # Each page is read once; the library looks through its whole cache for each.
        library.kdump_set_attr(context, b"cache.size", ctypes.byref(_Attr(type=_NUMBER, value=_CACHED)))
        count = _number(library, context, need, b"max_pfn")
        if _number(library, context, need, b"arch.page_size") != PAGE or count > MAX_GFN:
            raise UsageError(f"{path}: a dump of another machine than x86-64", hint=DAMAGED)
        buffer, ranges, gfn = ctypes.create_string_buffer(_CHUNK), [], 0
        while gfn < count:
            length = ctypes.c_size_t(min(_CHUNK, (count - gfn) * PAGE))
            status = library.kdump_read(context, _PHYSICAL, gfn * PAGE, buffer, ctypes.byref(length))
            got = length.value // PAGE
            if got:
                ranges.append(Range(gfn, got, out.tell()))
                out.write(memoryview(buffer)[: got * PAGE])
                gfn += got
            if status == _NODATA:
                gfn += 1  # a hole of the machine, or filtered out
            else:
                need(status)
        out.flush()
        return ranges
    finally:
        library.kdump_free(context)


def _number(library: ctypes.CDLL, context: int, need: Callable[[int], None], key: bytes) -> int:
    attr = _Attr(type=_NUMBER)
    need(library.kdump_get_typed_attr(context, key, ctypes.byref(attr)))
    return int(attr.value)


def _unflatten(path: Path, source: IO[bytes], out: IO[bytes]) -> None:
    """Put the pieces of a flattened dump where they belong."""
    size = os.fstat(source.fileno()).st_size
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = _FLAT_HEADER
        while at + _FLAT_PIECE.size <= size:
            offset, length = _FLAT_PIECE.unpack_from(data, at)
            at += _FLAT_PIECE.size
            if (offset, length) == (-1, -1):
                return
            if offset < 0 or length < 0 or offset > MAX_GFN * PAGE:
                raise UsageError(f"{path}: the flattened dump is damaged at byte {at:,}", hint=DAMAGED)
            if length > size - at:
                break
            out.seek(offset)
            out.write(memoryview(data)[at : at + length])
            at += length
    raise UsageError(
        f"{path}: the flattened dump is truncated: its end is missing", hint="save the memory again"
    )
