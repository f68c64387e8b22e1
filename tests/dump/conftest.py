"""Real kernel memory, checked on this machine by the monitor's own core."""

from __future__ import annotations

import json
import mmap
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from tinyvmi_build.checks.lib.walk import physical
from tinyvmi_build.checks.policy_globals.tamper import ALLOWED_CORE_PATTERN
from tinyvmi_build.checks.tamper import Change, Guest
from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import build_host_checker
from tinyvmi_build.kernel.modules import Wanted
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.profile.build import build
from tinyvmi_build.profile.profile import KernelProfile
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.timeouts import timeout

NONCE = "0123456789abcdef"
#: The kernels whose memory is checked here: (metapackage, suite).
KERNELS = [
    ("linux-image-cloud-amd64", "bookworm"),
    ("linux-image-amd64", "bookworm"),
    ("linux-image-cloud-amd64", "bullseye"),
    ("linux-image-cloud-amd64", "trixie"),
]


#: Those with tables, of which some tests load some.
MODULES = ("dummy", "veth", "nf_tables")


@dataclass(frozen=True)
class Checked:
    """What one run of the checker said."""

    exit: int
    collector: Collector
    records: list[dict[str, object]]

    def findings(self, check: str) -> list[dict[str, object]]:
        return [r for r in self.records if r["type"] == "finding" and r["check"] == check]


class Memory:
    """A private copy of a dump, writable by link address (`tinyvmi_build.checks.tamper.Guest`)."""

    def __init__(self, dump: Path, copy: Path, profile: KernelProfile, checker: Path):
        shutil.copyfile(dump, copy)
        self.path = copy
        self.profile = profile
        self.checker = checker
        self._file = copy.open("r+b")
        self.bytes = mmap.mmap(self._file.fileno(), 0)
        kernel = self.check().collector.kernel
        assert kernel is not None, "the kernel was not found in an untouched dump"
        self.delta = int(kernel["delta"], 16)
        self.text_pa = int(kernel["text_pa"], 16)
        self.root_pa = int(kernel["root_pa"], 16)
        self.levels = int(kernel["levels"])

    def pa(self, link_va: int) -> int:
        """Outside of the kernel's image its page tables tell."""
        offset = link_va - self.profile.text_va
        if 0 <= offset < self.profile.image_size:
            return self.text_pa + offset
        running = link_va + self.delta & (1 << 64) - 1
        return physical(lambda pa, n: self.bytes[pa : pa + n], self.root_pa, running, self.levels)

    def read(self, link_va: int, size: int) -> bytes:
        return self.bytes[self.pa(link_va) : self.pa(link_va) + size]

    def write(self, link_va: int, data: bytes) -> None:
        self.bytes[self.pa(link_va) : self.pa(link_va) + len(data)] = data

    def check_changed(self, change: Change) -> Checked:
        """What the checker reports while `change` is made."""
        return checked_under(change, self, self.check)

    def check(self, path: Path | None = None) -> Checked:
        return run_checker(self.checker, path or self.path)

    def close(self) -> None:
        self.bytes.close()
        self._file.close()
        self.path.unlink()


def checked_under(change: Change, guest: Guest, check: Callable[[], Checked]) -> Checked:
    """What `check` returns while `change` is made to the guest; it is undone afterwards."""
    undo = change.apply(guest)
    try:
        return check()
    finally:
        undo()


def leaf_entry(memory: bytes | mmap.mmap, root: int, va: int) -> int:
    """Physical address of the page-table entry that maps `va` (4 levels), by the root's physical address."""
    table = root
    for shift in (39, 30, 21, 12):
        entry = table + 8 * (va >> shift & 511)
        value = int.from_bytes(memory[entry : entry + 8], "little")
        if shift == 12 or value & 0x80:
            return entry
        table = value & 0xFFFFFFFFFF000
    raise AssertionError


def run_checker(checker: Path, path: Path) -> Checked:
    done = subprocess.run(
        [str(checker), str(path), NONCE], capture_output=True, timeout=timeout(300), check=False
    )
    # A sanitizer or a signal would show here, whatever the verdict.
    assert done.returncode >= 0 and not done.stderr, done.stderr.decode(errors="replace")
    collector = Collector(NONCE)
    records = []
    for line in done.stdout.splitlines():
        for event in collector.feed(line):
            record = getattr(event, "record", None)
            if record is not None:
                records.append(record.body)
    collector.end()
    assert collector.lost_reason is None, collector.lost_reason
    assert collector.exit_code() == done.returncode
    return Checked(done.returncode, collector, records)


@dataclass(frozen=True)
class Subject:
    """A kernel to judge: its profile, its dump, and the checker that knows it."""

    profile: KernelProfile
    dump: Path
    checker: Path


def make_subject(
    folder: Path, metapackage: str, suite: str, also: Sequence[Path] = (), settings: str = ""
) -> Subject:
    """`also`: packages of more kernels that its checker knows; `settings`: TOML for its configuration."""
    package = fetch_kernel(metapackage, suite)
    packages = [package, *also]
    config = folder / "tinyvmi.toml"
    config.write_text(
        f"[kernel]\npackages = {json.dumps([str(path) for path in packages])}\n"
        f'[checks.policy-globals]\ncore_pattern = ["core", "{ALLOWED_CORE_PATTERN}"]\n{settings}'
    )
    profiles = build(packages, wanted=Wanted(MODULES))
    loaded: Loaded = load(config, env={})
    checker = build_host_checker(loaded, profiles=profiles)
    return Subject(
        profiles.kernels[0], raw_dump(package, DumpOptions(256 if "cloud" in metapackage else 512)), checker
    )


_S = TypeVar("_S")


def made_once(
    folders: pytest.TempPathFactory, make: Callable[[Path, str, str], _S]
) -> Callable[[str, str], _S]:
    """`get(metapackage, suite)`: what `make(folder, metapackage, suite)` returns, made at the first call."""

    @cache
    def get(metapackage: str, suite: str) -> _S:
        return make(folders.mktemp("subject"), metapackage, suite)

    return get


@pytest.fixture(scope="session", params=KERNELS, ids=lambda k: f"{k[1]}-{k[0].removeprefix('linux-image-')}")
def any_subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Each kernel of the list in turn."""
    return make_subject(tmp_path_factory.mktemp("subject"), *request.param)


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Debian's current cloud kernel."""
    return make_subject(tmp_path_factory.mktemp("subject"), *KERNELS[0])


@pytest.fixture(scope="session")
def memory(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """A copy of its memory; each test puts back what it changes."""
    copy = Memory(
        subject.dump, tmp_path_factory.mktemp("memory") / "copy.raw", subject.profile, subject.checker
    )
    yield copy
    copy.close()
