"""Which Debian release's Xen works under this machine's QEMU: found by trying, and remembered.

Xen 4.17 under QEMU 10 ends a PVH target at its start; Xen 4.20 runs it.  Other pairs may fail in
other ways, so nothing here knows versions: a small lab is booted with each Xen in turn until its
target comes up.  The answer is kept in the cache, for each version of QEMU.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.packages import SUITE, XEN_VERSIONS
from tinyvmi_build.lab.machine.qemu import qemu_version
from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

#: In the order in which they are tried.
CANDIDATES = (SUITE, "trixie")


def working_suite(progress: Progress) -> str:
    """The first of CANDIDATES whose Xen runs a target here; MissingEnvironmentError if none does."""
    return chosen(
        cache_dir("lab") / "xen-suites.json", qemu_version(), lambda suite: _probe(suite, progress), progress
    )


def chosen(
    memory: Path,
    qemu: str,
    probe: Callable[[str], None],
    progress: Progress,
    candidates: Sequence[str] = CANDIDATES,
) -> str:
    """What `memory` has for `qemu`, else the first candidate for which `probe` raises nothing."""
    with memory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one probe is enough for several processes
        known = _read(memory)
        if known.get(qemu) in candidates:
            return known[qemu]
        first: MissingEnvironmentError | None = None
        for suite in candidates:
            name = f"Xen {XEN_VERSIONS[suite]} ({suite})"
            try:
                with progress.step(f"try {name} under {qemu}, once"):
                    probe(suite)
            except MissingEnvironmentError as error:
                first = first or error
                progress.warn(f"{name} does not work here: {error.message.splitlines()[0]}")
            else:
                memory.write_text(json.dumps(known | {qemu: suite}))
                return suite
        assert first is not None
        raise first


def _read(memory: Path) -> dict[str, str]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _probe(suite: str, progress: Progress) -> None:
    from tinyvmi_build.lab.session import Lab  # which asks this module when it has to choose

    with Lab(options=MachineOptions(suite=suite), progress=progress) as lab:
        lab.create_target()
