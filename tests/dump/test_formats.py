"""`check --dump`: the same memory in each format, checked alike."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dump.conftest import KERNELS, Memory, Subject
from tests.support.events import valid_events
from tests.unit.dump import booted, writers
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.dump import kdump
from tinyvmi_build.dump.recognise import opened_image, read_image
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.profile.build import build
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.timeouts import timeout


def check(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinyvmi_build", "-q", "check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout(300), check=False)
    assert "internal error" not in done.stderr, done.stderr
    return done


def result(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    events = valid_events(done.stdout)
    assert events[-1]["event"] in ("result", "no-kernel"), done.stdout
    return next(e for e in events if e["event"] == "result")


@pytest.fixture(scope="module")
def profile(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "guest.profile"
    ProfileFile([subject.profile]).save(path)
    return path


def execve_entry(profile: KernelProfile) -> int:
    """Link address of sys_call_table[__NR_execve]."""
    return profile.golden(SyscallTableGolden).tables[0].va + 8 * 59


@pytest.fixture(scope="module")
def qemu_dumps() -> dict[str, Path]:
    return booted.dumps(fetch_kernel(*KERNELS[0]))


def pieces(memory: Memory) -> list[writers.Piece]:
    """The memory in unequal parts, without some that no check reads: the first megabyte, and single pages."""
    rng = random.Random(3)
    parts, at = [], 1 << 20
    while at < len(memory.bytes):
        size = min(rng.randrange(1, 4000) * writers.PAGE, len(memory.bytes) - at)
        parts.append((at, memory.bytes[at : at + size]))
        at += size
    rng.shuffle(parts)
    return parts


def test_a_raw_image(memory: Memory, profile: Path) -> None:
    done = check("--dump", memory.path, "--profile", profile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{memory.path}: raw, 256 MiB in 1 range" in done.stdout
    assert "INTACT (1 scan)" in done.stdout
    assert "domain" not in done.stdout


@pytest.mark.parametrize("name", ["elf", "paging"])
def test_qemus_elf(qemu_dumps: dict[str, Path], name: str, profile: Path) -> None:
    image = read_image(qemu_dumps[name])
    assert image.format == "ELF core (QEMU dump-guest-memory)"
    assert any(r.offset % writers.PAGE for r in image.ranges), "the pages that must be copied were not tried"
    done = check("--dump", qemu_dumps[name], "--profile", profile, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(done)["verdict"] == "intact"
    assert '"registers": {"verdict": "intact", "worst": "intact", "items": 5' in done.stdout


def test_registers_in_qemus_elf(qemu_dumps: dict[str, Path], profile: Path, tmp_path: Path) -> None:
    """IDTR moved in the note that QEMU writes."""
    image = read_image(qemu_dumps["elf"])
    assert "0 idt.base fffffe0000000000" in image.registers
    copy = tmp_path / "moved.elf"
    data = bytearray(qemu_dumps["elf"].read_bytes())
    at = data.index(struct.pack("<IIQ", 0, 0, 0xFFFFFE0000000000))
    data[at + 8 : at + 16] = struct.pack("<Q", 0xFFFFFE0000001000)
    copy.write_bytes(data)
    done = check("--dump", copy, "--profile", profile)
    assert done.returncode == 5, done.stdout
    assert "vcpu0.IDTR" in done.stdout


def test_a_tamper_in_qemus_elf(
    qemu_dumps: dict[str, Path], subject: Subject, profile: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copyfile(qemu_dumps["elf"], copy)
    done = check("--dump", copy, "--profile", profile, "--json")
    found = [json.loads(line)["record"] for line in done.stdout.splitlines() if '"type": "kernel"' in line]
    pa = int(found[0]["text_pa"], 16) + execve_entry(subject.profile) - subject.profile.text_va
    place = next(r for r in read_image(copy).ranges if r.gfn <= pa // 4096 < r.gfn + r.count)
    with copy.open("r+b") as file:
        file.seek(place.offset + pa - place.gfn * 4096)
        file.write(bytes(8))
    done = check("--dump", copy, "--profile", profile)
    assert done.returncode == 5 and "sys_call_table+0x1d8" in done.stdout


def test_qemus_kdump(qemu_dumps: dict[str, Path], profile: Path, tmp_path: Path) -> None:
    """By libkdumpfile: the same pages, and the same verdict, as of the raw image of the same moment."""
    done = check("--dump", qemu_dumps["kdump"], "--profile", profile, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(done)["verdict"] == "intact"
    raw = qemu_dumps["raw"].read_bytes()
    with opened_image(qemu_dumps["kdump"]) as image:
        assert image.format == "kdump-compressed"
        pages = image.path.read_bytes()
        same = 0
        for r in image.ranges:
            if r.gfn * 4096 < len(raw):  # the firmware's lies beyond
                here, there = r.gfn * 4096, r.offset
                assert pages[there : there + r.count * 4096] == raw[here : here + r.count * 4096]
                same += r.count
    assert same == len(raw) // 4096
    cut = tmp_path / "cut"
    cut.write_bytes(qemu_dumps["kdump"].read_bytes()[:5_000_000])
    done = check("--dump", cut, "--profile", profile)
    assert done.returncode == 2 and "truncated" in done.stderr


@pytest.mark.parametrize("write", [writers.kdump, writers.flattened])
def test_a_small_kdump(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pages = [bytes([i + 1]) * writers.PAGE for i in range(64)]
    (tmp_path / "dump").write_bytes(write(pages))
    with opened_image(tmp_path / "dump") as image:
        assert image.format.startswith("kdump-compressed") and image.frames == 64
        assert image.path.read_bytes() == b"".join(pages)


def test_a_kdump_without_the_library_says_what_to_do(
    qemu_dumps: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdump, "_LIBRARY", "libnothing.so.0")
    with pytest.raises(MissingEnvironmentError) as caught, opened_image(qemu_dumps["kdump"]):
        pass
    assert "libkdumpfile" in caught.value.message
    assert "dump-guest-memory without -z" in str(caught.value.hint)


@pytest.mark.parametrize("write", [writers.elf_core, writers.lime, writers.xen_core])
def test_scattered_memory(memory: Memory, profile: Path, tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    dump = tmp_path / "dump"
    dump.write_bytes(write(pieces(memory)))
    done = check("--dump", dump, "--profile", profile, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(done)["verdict"] == "intact"


def test_a_tamper_is_seen_in_each_format(memory: Memory, profile: Path, tmp_path: Path) -> None:
    va = execve_entry(memory.profile)
    old = memory.read(va, 8)
    memory.write(va, bytes(8))
    try:
        dumps = {"raw": memory.path}
        for name, write in (("elf", writers.elf_core), ("lime", writers.lime), ("xen", writers.xen_core)):
            dumps[name] = tmp_path / name
            dumps[name].write_bytes(write(pieces(memory)))
        for name, dump in dumps.items():
            done = check("--dump", dump, "--profile", profile)
            assert done.returncode == 5, name
            assert "sys_call_table+0x1d8" in done.stdout, name
            assert "→ __x64_sys_execve" in done.stdout, name
    finally:
        memory.write(va, old)


def test_missing_pages_are_unverifiable(memory: Memory, profile: Path, tmp_path: Path) -> None:
    """A dump without one page of .rodata proves nothing about it."""
    hole = memory.pa(memory.profile.golden(RodataGolden).va) + (1 << 20) & -writers.PAGE
    dump = tmp_path / "dump"
    dump.write_bytes(
        writers.lime([(0, memory.bytes[:hole]), (hole + writers.PAGE, memory.bytes[hole + writers.PAGE :])])
    )
    done = check("--dump", dump, "--profile", profile, "--json")
    assert done.returncode == 3
    checks = result(done)["checks"]
    assert isinstance(checks, dict)
    assert checks["rodata"]["verdict"] == "unverifiable" and checks["idt"]["verdict"] == "intact"


def test_the_second_check_compiles_nothing(memory: Memory, profile: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    check("--dump", memory.path, "--profile", profile)
    monkeypatch.setenv("PATH", "/nonexistent")  # no gcc
    assert check("--dump", memory.path, "--profile", profile).returncode == 0
    done = check("--dump", memory.path, "--profile", profile, "--set", "checks.idt=false")
    assert done.returncode == 4 and "lacks gcc" in done.stderr


def test_the_configuration_decides_what_is_checked(memory: Memory, subject: Subject) -> None:
    """The subject's own tinyvmi.toml names the package."""
    project = subject.checker.parents[3] / "tinyvmi.toml"
    done = check("--dump", memory.path, "-c", project, "--set", "checks.rodata=false", "--json")
    assert done.returncode == 0, done.stderr
    checks = result(done)["checks"]
    assert isinstance(checks, dict) and "idt" in checks and "rodata" not in checks


def test_the_running_one_of_several_kernels(memory: Memory, subject: Subject, tmp_path: Path) -> None:
    other = build([fetch_kernel(*KERNELS[2])]).kernels[0]
    path = tmp_path / "all.profile"
    ProfileFile([other, subject.profile]).save(path)
    done = check("--dump", memory.path, "--profile", path)
    assert done.returncode == 0, done.stderr
    assert f"found kernel {subject.profile.release} " in done.stdout


def test_a_kernel_in_no_profile_is_named(memory: Memory, subject: Subject, tmp_path: Path) -> None:
    other = build([fetch_kernel(*KERNELS[2])])
    path = tmp_path / "other.profile"
    other.save(path)
    done = check("--dump", memory.path, "--profile", path)
    assert done.returncode == 3
    assert f"a kernel that is in no profile: {subject.profile.banner}" in done.stdout
    assert other.kernels[0].release in done.stdout
    done = check("--dump", memory.path, "--profile", path, "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "no-kernel" and last["banners"] == [subject.profile.banner]


def test_a_known_kernel_that_hides(memory: Memory, profile: Path) -> None:
    va = memory.profile.build_id_va
    old = memory.read(va, 1)
    memory.write(va, bytes([old[0] ^ 1]))
    done = check("--dump", memory.path, "--profile", profile)
    memory.write(va, old)
    assert done.returncode == 3
    assert f"the banner of {memory.profile.release}, which the profile knows, is there" in done.stdout


def test_no_guest_at_all(profile: Path, tmp_path: Path) -> None:
    dump = tmp_path / "zeros"
    dump.write_bytes(bytes(8 << 20))
    done = check("--dump", dump, "--profile", profile)
    assert done.returncode == 3
    assert "no Linux banner is in it" in done.stdout and "nothing was checked" in done.stdout


@pytest.mark.parametrize(
    "text",
    ["", "0 512", "0 512 0 x", "0 0 0", "0 1000000 0", "0 2 0 1 2 8192", "17179869184 1 0", "0 1 268435456"],
)
def test_the_checker_trusts_no_map(subject: Subject, memory: Memory, tmp_path: Path, text: str) -> None:
    ranges = tmp_path / "map"
    ranges.write_text(text)
    command = [subject.checker, "--map", ranges, memory.path, "00"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "its map cannot be used" in done.stderr and not done.stdout


def test_a_gigabyte_in_two_seconds(tmp_path: Path) -> None:
    """A generic kernel, the command as a whole, once its checker is compiled; the best of three."""
    package = fetch_kernel(*KERNELS[1])
    dump = raw_dump(package, DumpOptions(1024))
    profile = tmp_path / "generic.profile"
    build([package]).save(profile)
    seconds = []
    for _ in range(4):
        start = time.monotonic()
        assert check("--dump", dump, "--profile", profile).returncode == 0
        seconds.append(time.monotonic() - start)
    print("check --dump of 1 GiB:", *(f"{s:.2f} s" for s in seconds))
    assert min(seconds[1:]) < timeout(2)
