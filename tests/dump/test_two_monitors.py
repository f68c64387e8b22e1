"""Two monitors in one process, over two memories at once: neither knows anything of the other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.core.digests import VECTOR_FLAGS
from tests.dump.conftest import Memory, Subject
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.paths import data_dir

#: Any memory that two threads share without a word is reported, and ends the program.
FLAGS = ["-std=gnu11", "-O1", "-g", "-fsanitize=thread", "-pthread"]
#: What differs from run to run.
TIMES = ("duration_us", "uptime_ms", "digest")


def sources(generated: Path) -> list[Path]:
    """All of tinyvmi-check but its main(), and the program of this test."""
    core = data_dir("minios_app")
    listed = [
        core / name
        for list_ in ("check_sources.txt", "digest_sources.txt")
        for name in (generated / list_).read_text().split()
    ]
    folders = [core / name for name in ("introspect", "checks/lib", "monitor", "platform/host")]
    found = [path for folder in [*folders, generated] for path in sorted(folder.glob("*.c"))]
    program = Path(__file__).parent / "two_monitors.c"
    return [
        path for path in [*found, *listed, core / "digest/crc32.c"] if path != core / "platform/host/main.c"
    ] + [program]


@pytest.fixture(scope="module")
def program(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    generated = subject.checker.parent.parent / "generated"
    core = data_dir("minios_app")
    folder = tmp_path_factory.mktemp("two")
    include = [f"-I{path}" for path in (core / "include", core, generated)]
    plain = []
    for path in sources(generated):
        own = next((flags for end, flags in VECTOR_FLAGS.items() if path.stem.endswith(end)), None)
        if own is not None:
            made = folder / f"{path.stem}.o"
            subprocess.run(["gcc", *FLAGS, *own, *include, "-c", str(path), "-o", str(made)], check=True)
            path = made
        plain.append(str(path))
    subprocess.run(["gcc", *FLAGS, *include, *plain, "-o", str(folder / "two")], check=True)
    return folder / "two"


def run(program: Path, folder: Path, *images: Path) -> list[list[dict[str, Any]]]:
    """The records of each image's monitor, without their times; all run at once."""
    outputs = [folder / f"{number}.records" for number in range(len(images))]
    arguments = [str(path) for pair in zip(images, outputs, strict=True) for path in pair]
    done = subprocess.run([str(program), *arguments], capture_output=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    streams = []
    for output in outputs:
        lines = [line.split(" ", 3) for line in output.read_text().splitlines()]
        assert [int(line[1]) for line in lines] == list(range(len(lines)))
        records = [json.loads(line[3]) for line in lines]
        streams.append([{k: v for k, v in each.items() if k not in TIMES} for each in records])
    return streams


def test_each_stream_is_that_of_a_run_alone(
    subject: Subject, memory: Memory, program: Path, tmp_path: Path
) -> None:
    """One memory is as it was, in the other code, data and a table have been changed."""
    profile = memory.profile
    changed = {
        profile.text_va + 0x5000: b"\xcc\xcc",
        profile.golden(RodataGolden).va + 0x3000: b"changed",
        profile.golden(SyscallTableGolden).tables[0].va + 8: b"\x10",
    }
    old = {va: memory.read(va, len(data)) for va, data in changed.items()}
    for va, data in changed.items():
        memory.write(va, data)
    try:
        alone = [run(program, tmp_path, image)[0] for image in (subject.dump, memory.path)]
        together = run(program, tmp_path, subject.dump, memory.path)
    finally:
        for va, data in old.items():
            memory.write(va, data)
    assert [stream[-1]["verdict"] for stream in together] == ["intact", "tampered"]
    assert {each["check"] for each in together[1] if each["type"] == "finding"} >= {
        "text",
        "rodata",
        "syscall-table",
    }
    assert together == alone
