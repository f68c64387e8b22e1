"""kdump-compressed dumps: one that was cut short is refused before libkdumpfile sees it."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import tempfile
from pathlib import Path

import pytest

from tests.unit.dump.writers import PAGE, flattened, kdump
from tinyvmi_build.dump import kdump as module
from tinyvmi_build.dump.kdump_layout import require_whole
from tinyvmi_build.errors import UsageError

PAGES = [bytes([i + 1]) * PAGE for i in range(64)]


def require(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        require_whole(path, content)


@pytest.mark.parametrize("gap", [0, 4 << 20])
def test_a_whole_dump_is_whole_and_each_shorter_one_is_truncated(tmp_path: Path, gap: int) -> None:
    data = kdump(PAGES, gap)
    require(tmp_path, data)
    cuts = [100, 443, 444, 5000, 4 * PAGE, 4 * PAGE + 10, len(data) - PAGE, len(data) - 1]
    for size in cuts + [random.Random(1).randrange(1, len(data)) for _ in range(20)]:
        with pytest.raises(UsageError, match=r"truncated: at least [0-9,]+ bytes are missing"):
            require(tmp_path, data[:size])


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (428, "<i", 0, "blocks of 0 bytes"),
        (428, "<i", -4096, "blocks of -4096 bytes"),
        (428, "<i", 1 << 30, "header is damaged"),
        (432, "<i", -1, "header is damaged"),
        (436, "<I", 0xFFFFFFFF, "truncated"),
        (PAGE + 12, "<i", 1, "one part of a dump that was split"),
        (PAGE + 32, "<QQ", (1 << 40, 10), "truncated"),
        (PAGE + 96, "<Q", 1 << 40, "beyond 64 TiB"),
        (PAGE + 96, "<Q", 1 << 33, "more than its bitmap covers"),
        (4 * PAGE, "<Q", 1 << 62, "truncated"),
    ],
)
def test_damaged_headers(tmp_path: Path, at: int, form: str, value: object, message: str) -> None:
    data = bytearray(kdump(PAGES))
    struct.pack_into(form, data, at, *(value if isinstance(value, tuple) else (value,)))
    with pytest.raises(UsageError, match=message):
        require(tmp_path, bytes(data))


def expand(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch, read) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "_library", lambda: None)
    monkeypatch.setattr(module, "_read", read)
    path = tmp_path / "dump"
    path.write_bytes(data)
    with module.expanded(path):
        pass


def test_a_death_of_the_library_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGBUS)

    with pytest.raises(UsageError, match="libkdumpfile dies of SIGBUS"):
        expand(tmp_path, kdump(PAGES), monkeypatch, dies)


def test_an_error_of_the_library_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise UsageError("libkdumpfile cannot read it", hint="another")

    with pytest.raises(UsageError, match="^libkdumpfile cannot read it$") as caught:
        expand(tmp_path, kdump(PAGES), monkeypatch, fails)
    assert caught.value.hint == "another"


def test_pieces_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "flat"
    data = flattened(PAGES)
    path.write_bytes(data)
    with tempfile.TemporaryFile() as out:
        with path.open("rb") as source:
            module._unflatten(path, source, out)
        out.seek(0)
        assert out.read() == kdump(PAGES)
    for size, message in ((len(data) - 16, "truncated"), (len(data) // 2, "truncated")):
        path.write_bytes(data[:size])
        with pytest.raises(UsageError, match=message), path.open("rb") as source:
            module._unflatten(path, source, tempfile.TemporaryFile())  # noqa: SIM115
    path.write_bytes(data[:PAGE] + struct.pack(">qq", -5, 10) + bytes(10))
    with pytest.raises(UsageError, match="damaged"), path.open("rb") as source:
        module._unflatten(path, source, tempfile.TemporaryFile())  # noqa: SIM115
