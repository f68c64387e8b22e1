"""A guest that lives on while it is watched: reset, kexec, a crash kernel, kernels that nobody knows."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dump.conftest import KERNELS, Subject
from tests.dump.live import Live, Watcher, build_kexec
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine.packages import fetch_kernel, unpacked_kernel, vmlinuz_of
from tinyvmi_build.records.verdict import Verdict

COMMAND_LINE = "console=ttyS0 panic=-1"
STOPPED = "the kernel that was watched does not run any more"
UNKNOWN = "no kernel that this image knows is in the target's memory"


@pytest.fixture(scope="module")
def kexec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kexec(tmp_path_factory.mktemp("kexec"))


@pytest.fixture
def boot(kexec: Path, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Start Debian's cloud kernel with another kernel at hand, which `kexec` can start."""
    running: list[Live] = []

    def start(other: Path, extra: str = "") -> Live:
        files: dict[str, bytes | Path] = {
            "kexec": kexec,
            "vmlinuz": vmlinuz_of(unpacked_kernel(other)),
            "initramfs": guest.initramfs(),
        }
        live = Live(fetch_kernel(*KERNELS[0]), tmp_path, extra=extra, files=files)
        running.append(live)
        return live.__enter__()

    yield start
    for live in running:
        live.__exit__()


@pytest.mark.parametrize("extra", ["", "nokaslr"])
def test_the_reset_button(subject: Subject, boot: Callable[..., Live], extra: str) -> None:
    """The same kernel at another address, the old one whole below or above it; or in the same place.

    There it may begin so soon that nothing but its clock says that it is another one.
    """
    live = boot(fetch_kernel(*KERNELS[0]), extra)
    with Watcher(subject.checker, live, period_ms=20 if extra else 100) as watcher:
        watcher.scans(3)
        live.reset()
        live.wait_boot(2)
        watcher.until(lambda: len(watcher.kernels) > 1)
        watcher.until(lambda: watcher.collector.waiting is None)
        watcher.scans(3)
    places = {kernel["text_pa"] for kernel in watcher.kernels}
    assert len(places) == (1 if extra else 2)
    assert STOPPED in watcher.reasons
    assert watcher.verdicts == {"intact"}


@pytest.mark.long
def test_the_reset_button_twice(subject: Subject, boot: Callable[..., Live]) -> None:
    """Each time it is said that the kernel stopped, not the first time alone."""
    live = boot(fetch_kernel(*KERNELS[0]))
    with Watcher(subject.checker, live) as watcher:
        for number in (1, 2):
            watcher.scans(3)
            live.reset()
            watcher.until(lambda number=number: watcher.reasons.count(STOPPED) == number)
            live.wait_boot(number + 1)
            watcher.until(lambda: watcher.collector.waiting is None)
    assert watcher.verdicts == {"intact"}


def test_kexec_to_the_same_kernel(subject: Subject, boot: Callable[..., Live]) -> None:
    live = boot(fetch_kernel(*KERNELS[0]))
    with Watcher(subject.checker, live) as watcher:
        watcher.scans(3)
        live.type(f"/kexec /vmlinuz /initramfs '{COMMAND_LINE}'")
        live.wait_boot(2)
        watcher.until(lambda: len(watcher.kernels) > 1 and watcher.collector.waiting is None)
        watcher.scans(3)
    assert STOPPED in watcher.reasons
    assert "tampered" not in watcher.verdicts


def test_kexec_to_a_kernel_that_nobody_knows(subject: Subject, boot: Callable[..., Live]) -> None:
    """One finding, with the banner: not what the old kernel's memory has become."""
    live = boot(fetch_kernel(*KERNELS[2]))
    with Watcher(subject.checker, live) as watcher:
        watcher.scans(3)
        live.type(f"/kexec /vmlinuz /initramfs '{COMMAND_LINE}'")
        release = live.wait_boot(2)
        watcher.until(lambda: any("banner" in record for record in watcher.records), 120)
    banners = [record for record in watcher.records if "banner" in record]
    assert {record["reason"] for record in banners} == {UNKNOWN}
    assert banners[0]["banner"].startswith(f"Linux version {release} ")
    assert "tampered" not in watcher.verdicts


def test_a_crash_kernel(subject: Subject, boot: Callable[..., Live]) -> None:
    """It runs in memory kept for it; the one that crashed stays as it was, and says that it runs."""
    live = boot(fetch_kernel(*KERNELS[0]), "crashkernel=192M")
    with Watcher(subject.checker, live) as watcher:
        watcher.scans(3)
        live.run(f"/kexec /vmlinuz /initramfs '{COMMAND_LINE} reset_devices' crash")
        watcher.scans(3)
        live.type("echo c > /proc/sysrq-trigger")
        live.wait_boot(2)
        watcher.until(lambda: len(watcher.kernels) > 1 and watcher.collector.waiting is None)
        watcher.scans(3)
    assert watcher.kernels[0]["text_pa"] != watcher.kernels[-1]["text_pa"]
    assert watcher.verdicts == {"intact"}


def test_watched_from_before_its_first_instruction(subject: Subject, boot: Callable[..., Live]) -> None:
    """Reset, and only then watched: nothing but what the first boot left is there at first."""
    live = boot(fetch_kernel(*KERNELS[0]))
    live.reset()
    with Watcher(subject.checker, live) as watcher:
        live.wait_boot(2)
        watcher.scans(3)
        watcher.until(lambda: watcher.collector.waiting is None)
        assert watcher.collector.current is not None
        assert watcher.collector.current.value == "intact"
    assert "tampered" not in watcher.verdicts


@pytest.mark.parametrize("ended", [True, False])
def test_damage_in_a_kernel_whose_clock_stands(
    subject: Subject, boot: Callable[..., Live], ended: bool
) -> None:
    """What becomes of a kernel that has left is no tampering; but stopping the clock alone hides nothing."""
    live = boot(fetch_kernel(*KERNELS[0]))
    kernel, rodata = subject.profile.discovery, subject.profile.golden(RodataGolden)
    with Watcher(subject.checker, live) as watcher:
        watcher.scans(3)
        text_pa = int(watcher.kernels[0]["text_pa"], 16)
        live.stop()
        with live.memory.open("r+b") as memory:
            if ended:
                memory.seek(text_pa + kernel.system_state_va - subject.profile.text_va)
                memory.write(struct.pack("<I", kernel.system_running + 3))  # SYSTEM_RESTART
            memory.seek(text_pa + rodata.va - subject.profile.text_va + 0x5000)
            memory.write(bytes(range(64)))
        watcher.until(lambda: STOPPED in watcher.reasons)
        assert watcher.verdicts == {"intact"}  # perhaps another kernel takes over
        if ended:
            watcher.listen(14)
        else:
            watcher.until(lambda: watcher.collector.current is Verdict.TAMPERED)
            watcher.listen(3)
            assert watcher.collector.current is Verdict.TAMPERED
    assert watcher.verdicts == ({"intact"} if ended else {"intact", "tampered"})
    reported = [record["check"] for record in watcher.records if record["type"] == "finding"]
    assert set(reported) <= {"rodata"} and len(reported) <= 16  # once
