"""The running kernel is found, and no other that lies in memory: copies, forgeries, remains."""

from __future__ import annotations

import resource
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.dump.conftest import KERNELS, Checked, Memory, Subject, make_subject, run_checker
from tests.dump.live import NONCE, Live
from tinyvmi_build.kernel.bzimage import unpack_bzimage
from tinyvmi_build.kernel.package import read_kernel
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.profile.profile import KernelProfile
from tinyvmi_build.timeouts import timeout

STEP = 2 << 20
DAY_NS = 24 * 3600 * 10**9
HUGE = 8192  # MiB: of a guest whose kernel lies above 4 GiB


def places(data: memoryview | bytes, profile: KernelProfile) -> list[int]:
    """Physical addresses, in steps of 2 MiB, at which an image with the profile's build-id begins."""
    offset = profile.discovery.build_id_va - profile.text_va
    wanted = bytes.fromhex(profile.build_id)
    return [pa for pa in range(0, len(data), STEP) if data[pa + offset : pa + offset + 20] == wanted]


def vmlinux(package: Path) -> bytes:
    """The ELF file in a package's bzImage."""
    return unpack_bzimage(read_kernel(package).data, package.name)[0]


def found_at(checked: Checked) -> int:
    assert checked.exit == 0, checked.records
    assert checked.collector.kernel is not None
    return int(checked.collector.kernel["text_pa"], 16)


def test_a_copy_of_the_kernel_in_the_page_cache(subject: Subject) -> None:
    """vmlinux in a tmpfs of huge pages: its text lies at 2 MiB boundaries, just as that of a kernel."""
    package = fetch_kernel(*KERNELS[0])
    script = (
        "mkdir /huge\nmount -t tmpfs -o huge=always,size=300m huge /huge\n"
        "for n in 1 2 3; do cat /vmlinux > /huge/$n; done\n"
    )
    dump = raw_dump(package, DumpOptions(768, files={"vmlinux": vmlinux(package)}, script=script))
    data = dump.read_bytes()
    copies = places(data, subject.profile)
    assert len(copies) > 1, "no copy lies where a kernel could; the test shows nothing"
    pa = found_at(run_checker(subject.checker, dump))
    offset = subject.profile.discovery.phys_base_va - subject.profile.text_va
    assert struct.unpack_from("<Q", data, pa + offset) != (0,), (
        "this is a copy: its phys_base is that of the file"
    )


def test_a_copy_at_the_address_for_which_it_was_linked(memory: Memory) -> None:
    """There the file's own page tables agree with it, so that only its clock tells that it does not run."""
    start = memory.profile.physical_start
    image = load_image(memory.profile.image_size)
    assert memory.text_pa not in range(start - len(image), start + len(image)), "another boot is needed"
    saved = memory.bytes[start : start + len(image)]
    memory.bytes[start : start + len(image)] = image
    checked = memory.check()
    # The real one gone, the copy is what is left: a kernel that has not booted, and that is said.
    gone = memory.pa(memory.profile.discovery.build_id_va)
    build_id = memory.bytes[gone : gone + 20]
    memory.bytes[gone : gone + 20] = bytes(20)
    alone = memory.check()
    memory.bytes[gone : gone + 20] = build_id
    memory.bytes[start : start + len(image)] = saved
    # Not the verdict: what the kernel had at this place (page tables of its processors) is overwritten.
    assert checked.collector.kernel is not None
    assert int(checked.collector.kernel["text_pa"], 16) == memory.text_pa
    assert alone.exit == 3
    assert alone.records[-2] == {"type": "waiting", "reason": "the kernel is still booting"}


def load_image(size: int) -> bytes:
    """The kernel as its file says that it is loaded, from _text on."""
    data = vmlinux(fetch_kernel(*KERNELS[0]))
    image = bytearray(size)
    (phoff,), (phnum,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    segments = [struct.unpack_from("<IIQQQQQQ", data, phoff + 56 * n) for n in range(phnum)]
    loads = [(offset, pa, filesz) for kind, _, offset, _, pa, filesz, _, _ in segments if kind == 1]
    first = min(pa for _, pa, _ in loads)
    for offset, pa, filesz in loads:
        image[pa - first : pa - first + filesz] = data[offset : offset + filesz]
    return bytes(image[:size])


def test_a_forged_vmcoreinfo(memory: Memory) -> None:
    """Nothing in it is asked: the same records, byte for byte."""
    before = [r for r in memory.check().records if r["type"] == "kernel"]
    note = memory.bytes.find(b"OSRELEASE=")
    assert note > 0
    forged = (
        b"OSRELEASE=6.66.6\nBUILD-ID=" + b"66" * 20 + b"\nSYMBOL(_stext)=ffffffff80000000\nKERNELOFFSET=0\n"
    )
    saved = memory.bytes[note : note + len(forged)]
    memory.bytes[note : note + len(forged)] = forged
    after = memory.check()
    memory.bytes[note : note + len(forged)] = saved
    assert after.exit == 0
    for record in (*before, *(r for r in after.records if r["type"] == "kernel")):
        record.pop("duration_us")
    assert [r for r in after.records if r["type"] == "kernel"] == before


@pytest.fixture(scope="module")
def reset(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Memory after three boots of one kernel without a power cut, each at another address."""
    folder = tmp_path_factory.mktemp("reset")
    with Live(fetch_kernel(*KERNELS[0]), folder) as live:
        for boot in (2, 3):
            live.reset()
            live.wait_boot(boot)
        live.stop()
        shutil.copyfile(live.memory, folder / "copy")
    return folder / "copy"


def test_what_an_earlier_boot_left(subject: Subject, reset: Path) -> None:
    """The reset button: the old kernels are whole and say that they run.  The latest clock decides."""
    data = reset.read_bytes()
    kernel = subject.profile.discovery
    at = kernel.clock.va + kernel.clock.base_real - subject.profile.text_va
    clocks = {pa: struct.unpack_from("<Q", data, pa + at)[0] for pa in places(data, subject.profile)}
    # A later boot has written over the data of some: what stands there now is no time.
    left = {pa: clock for pa, clock in clocks.items() if clock < time.time_ns() + DAY_NS}
    assert len(left) > 1, "nothing is left of the earlier boots; the test shows nothing"
    assert found_at(run_checker(subject.checker, reset)) == max(left, key=lambda pa: left[pa])


def test_two_that_nobody_can_tell_apart(subject: Subject, reset: Path, tmp_path: Path) -> None:
    """The clocks of all made equal: no choice by chance, but unverifiable with that reason."""
    copy = tmp_path / "copy"
    data = bytearray(reset.read_bytes())
    kernel = subject.profile.discovery
    at = kernel.clock.va + kernel.clock.base_real - subject.profile.text_va
    for place in places(data, subject.profile):
        data[place + at : place + at + 8] = struct.pack("<Q", 1)
    copy.write_bytes(data)
    checked = run_checker(subject.checker, copy)
    assert checked.exit == 3
    assert "none can be told to be the one that runs" in str(checked.records[-2]["reason"])


def test_several_kernels_in_one_image(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An image with the profiles of two kernels takes the one that was booted."""
    packages = [fetch_kernel(*KERNELS[0]), fetch_kernel(*KERNELS[2])]
    both = make_subject(tmp_path_factory.mktemp("both"), *KERNELS[0], also=packages[1:])
    for package in packages:
        checked = run_checker(both.checker, raw_dump(package))
        found_at(checked)
        assert checked.collector.kernel is not None
        assert str(checked.collector.kernel["release"]) in package.name


def test_above_4_gib_in_96_gib_with_holes(subject: Subject, tmp_path: Path) -> None:
    """Real memory of 8 GiB with the PCI hole, then sparse memory up to 96 GiB: 49,152 places in all."""
    with Live(fetch_kernel(*KERNELS[0]), tmp_path, memory_mib=HUGE) as live:
        live.stop()
        lines, end = live.map(), (HUGE + 1024) << 8
        hole = 1 << 10  # frames without memory after each GiB
        zeros = live.memory.stat().st_size
        with live.memory.open("r+b") as file:
            file.truncate(zeros + (1 << 30))
        for gfn in range(end, 96 << 18, 1 << 18):
            lines += f"{gfn + hole} {(1 << 18) - hole} {zeros}\n"
        (tmp_path / "map").write_text(lines)
        argv = [str(subject.checker), "--map", str(tmp_path / "map"), str(live.memory), NONCE]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout(300), check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout
    kernel = next(line for line in done.stdout.splitlines() if '"type":"kernel"' in line)
    text_pa = int(kernel.partition('"text_pa":"')[2][:18], 16)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"found at {text_pa:#x}; {cpu:.2f} s of processor time for search and scan")
    assert cpu < 5
