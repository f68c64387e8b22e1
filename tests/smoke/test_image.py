"""What the image file is: segments, notes, size, reproducibility."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.smoke.booting import boot, build_smoke_image
from tinyvmi_build.paths import data_dir

PF_X, PF_W = 1, 2  # ELF p_flags


def segments(path: Path) -> list[tuple[int, int, int]]:
    """(flags, bytes in the file, bytes in memory) of each loaded segment."""
    with open(path, "rb") as file:
        return [
            (s["p_flags"], s["p_filesz"], s["p_memsz"])
            for s in ELFFile(file).iter_segments()
            if s["p_type"] == "PT_LOAD"
        ]


def test_no_segment_is_writable_and_executable(smoke_image) -> None:
    flags = [f for f, _, _ in segments(smoke_image("gcc"))]
    assert sorted(flags) == [4, 5, 6]
    assert not any(f & PF_W and f & PF_X for f in flags)


def test_bss_is_not_in_the_file(smoke_image) -> None:
    image = smoke_image("gcc")
    data = next(s for s in segments(image) if s[0] == 6)
    assert data[2] - data[1] > 100_000 > image.stat().st_size - sum(s[1] for s in segments(image))


def test_no_vector_registers(smoke_image) -> None:
    """An event saves general registers only; only the test of the others may use them."""
    done = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(smoke_image("gcc"))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout) > 100_000
    functions = re.split(r"^[0-9a-f]+ <(\w+)>:$", done.stdout, flags=re.MULTILINE)
    users = [
        name
        for name, code in zip(functions[1::2], functions[2::2], strict=True)
        if re.search(r"%([xyz]?mm\d|st\b)", code)
    ]
    assert sorted(users) == ["avx_over_call", "sse_over_call"]


def test_two_source_paths_one_image(smoke_image, tmp_path, monkeypatch) -> None:
    elsewhere = tmp_path / "other" / "place"
    for name in ("minios_app", "toolchain"):
        shutil.copytree(data_dir(name), elsewhere / name)
    monkeypatch.setattr("tests.smoke.booting.data_dir", lambda name: elsewhere / name)
    again = build_smoke_image(tmp_path / "build", "x86_64-tinyvmi.cross")
    assert again.read_bytes() == smoke_image("gcc").read_bytes()


def test_gzipped_image_boots(smoke_image, tmp_path) -> None:
    packed = tmp_path / "smoke.gz"
    packed.write_bytes(gzip.compress(smoke_image("gcc").read_bytes(), mtime=0))
    run = boot(packed)
    assert run.ended == "shutdown" and "ok 1 - " in run.text, run.console


def test_more_memory(smoke_image) -> None:
    """Page tables beyond those that Xen built: many more than for 32 MB."""
    run = boot(smoke_image("gcc"), memory="160M")
    assert run.ended == "shutdown" and "not ok" not in run.text, run.console
