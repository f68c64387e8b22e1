"""Whose a monitor is: locks between real processes, and what is left when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.xen import ownership, store
from tinyvmi_build.xen.ownership import Lock, LockHeldError, Owner, monitor_lock, rivals, target_lock
from tinyvmi_build.xen.xl import Domain

HOLDER = """
import sys
from pathlib import Path
from tinyvmi_build.xen import ownership
ownership.lock_folder = lambda: Path(sys.argv[1])
lock = ownership.Lock(sys.argv[2])
lock.note(ownership.Owner(int(sys.argv[3]) or __import__("os").getpid(), "aa55", "tinyvmi-web", "web-1"))
print("held", flush=True)
sys.stdin.readline()
"""
TARGET = Domain("web-1", 5, 256, "b")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ownership, "lock_folder", lambda: tmp_path / "run")
    return tmp_path / "run"


def held_elsewhere(folder: Path, name: str) -> subprocess.Popen[str]:
    """Another process that holds the lock `name`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), name, "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_held_once_and_says_by_whom(folder: Path) -> None:
    process = held_elsewhere(folder, "monitor-x")
    try:
        with pytest.raises(LockHeldError) as caught:
            Lock("monitor-x")
        assert caught.value.owner == Owner(process.pid, "aa55", "tinyvmi-web", "web-1")
        assert caught.value.process == f"process {process.pid}"
        Lock("monitor-y").release()
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_is_killed_leaves_its_name_and_no_lock(folder: Path) -> None:
    process = held_elsewhere(folder, "monitor-x")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    lock = Lock("monitor-x")
    assert lock.last_owner == Owner(process.pid, "aa55", "tinyvmi-web", "web-1")
    lock.release(keep_owner=True)
    lock = Lock("monitor-x")
    assert lock.last_owner is not None and lock.last_owner.nonce == "aa55"
    lock.release()
    assert Lock("monitor-x").last_owner is None


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"pid": 1, "what": 2}', "\0" * 5000])
def test_a_lock_whose_file_says_nothing_can_be_held(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "monitor-x.lock").write_text(content)
    assert Lock("monitor-x").last_owner is None


def test_a_lock_that_cannot_be_made(folder: Path) -> None:
    folder.write_text("a file in the way")
    with pytest.raises(MissingEnvironmentError, match="cannot be made"):
        Lock("monitor-x")


def test_a_refusal_names_the_process_and_no_way_to_destroy(folder: Path) -> None:
    for name, lock, said in (
        ("monitor-tinyvmi-web", lambda: monitor_lock("tinyvmi-web"), "'tinyvmi-web' runs already"),
        ("target-5", lambda: target_lock(TARGET), "'web-1' is watched already"),
    ):
        process = held_elsewhere(folder, name)
        try:
            with pytest.raises(MissingEnvironmentError, match=said) as caught:
                lock()
            assert f"process {process.pid}" in caught.value.message
            assert "destroy" not in f"{caught.value.message} {caught.value.hint}"
            assert "replace" not in f"{caught.value.message} {caught.value.hint}"
        finally:
            process.kill()
            process.communicate()


def test_a_hostile_name_stays_in_the_folder(folder: Path) -> None:
    monitor_lock("../../etc/x\x1b").release()
    assert [path.name for path in folder.iterdir()] == ["monitor-%2e%2e%2f%2e%2e%2fetc%2fx%1b.lock"]


@pytest.fixture
def xenstore(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    values: dict[str, str] = {}
    monkeypatch.setattr(store, "read", values.get)
    return values


def test_rivals_are_those_of_that_name_and_those_over_that_target(
    folder: Path, xenstore: dict[str, str]
) -> None:
    Lock("monitor-a").note(Owner(1, "aa", "tinyvmi-web", "web-1"))
    lock = Lock("target-5")
    lock.note(Owner(2, "bb"))
    lock.release(keep_owner=True)
    lock = Lock("target-5")
    running = [
        Domain("Domain-0", 0, 768, "r"),
        TARGET,
        Domain("tinyvmi-web", 7, 32, "b"),
        Domain("tinyvmi-other", 8, 32, "b"),
        Domain("tinyvmi-third", 9, 32, "b"),
        Domain("tinyvmi-dead", 10, 32, "pd"),
    ]
    for domid, target, nonce in ((8, "5", "bb"), (9, "6", "cc"), (10, "5", "bb")):
        xenstore[f"/local/domain/{domid}/data/tinyvmi/target"] = target
        xenstore[f"/local/domain/{domid}/data/tinyvmi/run"] = nonce
    found = rivals("tinyvmi-web", TARGET, running, [lock])
    assert [(rival.domain.domid, rival.watches, rival.ours) for rival in found] == [
        (7, "", False),
        (8, "5", True),
    ]
    # The same nonce, but in no file of a lock that this launch holds: somebody else's.
    assert [rival.ours for rival in rivals("x", TARGET, running, [Lock("monitor-b")])] == [False]
