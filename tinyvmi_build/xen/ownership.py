"""Which `launch` owns a monitor: one launch a monitor and a target at a time.

A launch holds a lock (flock) for its monitor's name and one for its target's domain, in /run/tinyvmi.  The
kernel releases them when the process ends, however it ends.  Their files name the process that held them
last, and the nonce of its run, which the monitor's domain has in xenstore, too.  A monitor whose nonce is in
a file whose lock is free is an orphan: nobody listens to it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.safe_text import safe
from tinyvmi_build.xen import store
from tinyvmi_build.xen.xl import Domain


@dataclass(frozen=True)
class Owner:
    """A launch: its process, its run's nonce, its monitor's and its target's domain."""

    pid: int
    nonce: str = ""
    monitor: str = ""
    target: str = ""


class LockHeldError(Exception):
    """Another process holds the lock."""

    def __init__(self, owner: Owner | None):
        super().__init__()
        self.owner = owner

    @property
    def process(self) -> str:
        """Who that is, in words."""
        return f"process {self.owner.pid}" if self.owner else "another process"


class Lock:
    """The lock called `name`.  Raises LockHeldError at once if another process holds it."""

    def __init__(self, name: str):
        folder = lock_folder()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(folder / f"{name}.lock", flags, 0o600)
        except OSError as error:
            raise MissingEnvironmentError(
                f"the lock {folder / name}.lock cannot be made: {error.strerror}", hint="run launch as root"
            ) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = self._read()
            os.close(self._fd)
            raise LockHeldError(owner) from None
        self.last_owner = self._read()  # of a launch that ended without releasing it

    def note(self, owner: Owner) -> None:
        """Write who holds it into its file."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(asdict(owner)).encode(), 0)

    def release(self, *, keep_owner: bool = False) -> None:
        """Let the next one have it.  `keep_owner`: a domain of ours is left, which the next one may own."""
        if not keep_owner:
            os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def _read(self) -> Owner | None:
        try:
            return Owner(**json.loads(os.pread(self._fd, 4096, 0)))
        except (ValueError, TypeError):
            return None


def lock_folder() -> Path:
    """Where the locks of this host are."""
    if os.geteuid() == 0:
        return Path("/run/tinyvmi")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / "tinyvmi"


def monitor_lock(name: str) -> Lock:
    """The lock for the monitor whose domain is called `name`; MissingEnvironmentError if it is held."""
    try:
        return Lock(f"monitor-{_file_name(name)}")
    except LockHeldError as held:
        target = f", over domain '{safe(held.owner.target)}'" if held.owner and held.owner.target else ""
        raise MissingEnvironmentError(
            f"the monitor '{safe(name)}' runs already: {held.process} has launched it{target}",
            hint=f"end that launch first, or build a monitor of another name{_kill(held.owner)}",
        ) from None


def target_lock(target: Domain) -> Lock:
    """The lock for the domain `target`; MissingEnvironmentError if it is held."""
    try:
        return Lock(f"target-{target.domid}")
    except LockHeldError as held:
        monitor = f" with the monitor '{safe(held.owner.monitor)}'" if held.owner else ""
        raise MissingEnvironmentError(
            f"domain '{safe(target.name)}' is watched already: by {held.process}{monitor}",
            hint="a second monitor would take the record of written pages away from the first"
            + _kill(held.owner),
        ) from None


def _kill(owner: Owner | None) -> str:
    return f" (kill {owner.pid} ends it)" if owner else ""


@dataclass(frozen=True)
class Rival:
    """A monitor's domain that is in the way of a launch: by its name, or because it watches the same target.

    It is `ours` if a launch of this host started it, which has ended: nobody listens to it.  Only a domain
    that has a launch's nonce can be: what a guest itself writes into xenstore proves nothing.
    """

    domain: Domain
    watches: str  # the number of its target, "" if it has none
    ours: bool


def rivals(name: str, target: Domain, running: Iterable[Domain], locks: Iterable[Lock]) -> list[Rival]:
    """Those for a monitor's domain `name` over `target`, by whom holds both locks."""
    nonces = {lock.last_owner.nonce for lock in locks if lock.last_owner and lock.last_owner.nonce}
    found = []
    for domain in running:
        if domain.domid in (0, target.domid) or domain.gone and domain.name != name:
            continue
        folder = f"/local/domain/{domain.domid}/data/tinyvmi"
        watches = store.read(f"{folder}/target") or ""
        if domain.name == name or watches == str(target.domid):
            nonce = store.read(f"{folder}/run") or ""
            found.append(Rival(domain, watches, nonce in nonces))
    return found


def _file_name(name: str) -> str:
    """`name` as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in name)[:200]
