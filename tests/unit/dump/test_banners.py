"""Banners among other bytes."""

from __future__ import annotations

from pathlib import Path

from tinyvmi_build.dump.banners import banners

REAL = b"Linux version 6.1.0-9-amd64 (a@b) (gcc-12 12.2.0) #1 SMP Debian 6.1.27-1 (2023-05-08)"


def test_each_release_once_and_no_draft(tmp_path: Path) -> None:
    other = REAL.replace(b"6.1.0-9", b"6.2.0-1")
    parts = [REAL.replace(b"#1 ", b"# "), REAL + b"8)", REAL, other]
    file = tmp_path / "memory"
    file.write_bytes(bytes(9) + b"Linux version %s (%s)\n\0" + b"".join(p + b"\n\0" for p in parts) + REAL)
    assert banners(file) == [REAL.decode(), other.decode()]


def test_not_more_than_four(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(b"".join(REAL.replace(b"6.1.0", b"6.1.%d" % i) + b"\n\0" for i in range(9)))
    assert len(banners(file)) == 4


def test_what_is_not_printable_is_no_banner(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(REAL.replace(b"SMP", b"\x1b[2J") + b"\n\0")
    assert banners(file) == []
