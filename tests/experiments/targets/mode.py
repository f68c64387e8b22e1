"""The labs of the rows: stock Xen with GRUB and a device model, and a Xen that enforces a policy."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import tinyvmi_build.lab
from tests.experiments.targets.rows import FLASK_MODE, Row
from tests.experiments.targets.run_row import FAILED, run
from tests.lab import bases
from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.lab.runner import policy_modules
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.render.plan import seclabel

_SETS = {FLASK_MODE: ("privilege.mode=flask", "privilege.vcpu_context=true")}
_MADE_BY = (Path(bases.__file__), Path(__file__).parent, Path(tinyvmi_build.lab.__file__).parent)


class Mode:
    """The monitors of one privilege on every base, and a lab for them while there is something to play."""

    def __init__(self, mode: str, progress: Progress):
        self.mode, self._progress = mode, progress
        self._loaded = bases.projects(bases.tree(), *_SETS.get(mode, ()))
        folder = cache_dir("targets", mode)
        self._built = {
            base: build_monitor(one, progress, folder=folder / base) for base, one in self._loaded.items()
        }
        self.config = self._loaded["built-in"].config
        self._profiles = ProfileFile.load(self._built["built-in"].profile)
        self._lab: Lab | None = None

    @property
    def names(self) -> list[str]:
        return list(self._built)

    def key(self, row: Row) -> str:
        """Of all that a result comes from: the monitors, the target's kernel, the changes, what plays it."""
        images = {base: one.image_id for base, one in self._built.items()}
        kernels = [path.name for path in self.config.kernel.packages]
        reports = [str(row), [c.name for c in row.tampers], images, kernels]
        return hashlib.sha256(json.dumps([reports, _sources()], sort_keys=True).encode()).hexdigest()[:16]

    def run(self, row: Row) -> dict[str, Any]:
        """Its result; a lab that did not get there is not used again."""
        try:
            if self._lab is None:
                self._lab = self._new_lab()
                self._lab.start()
            label = seclabel(self.config, "target") if self.mode == FLASK_MODE else ""
            result = run(self._lab, row, self.names, self._profiles, label)
        except TinyVMIError as error:
            result = {"outcome": FAILED, "reason": error.message.splitlines()[0], "seconds": 0}
        if result["outcome"] == FAILED:
            self.close()
        return result

    def close(self) -> None:
        if self._lab is not None:
            self._lab.stop()
            self._lab = None

    def _new_lab(self) -> Lab:
        flask = self.mode == FLASK_MODE
        return Lab(
            bases.folders(self._built),
            MachineOptions(
                grub=not flask, hvm=not flask, policy=policy_modules(self.config) if flask else None
            ),
            self._progress,
        )


@cache
def _sources() -> str:
    """A digest of the files that play a row, as they were when this began."""
    found = [one for path in _MADE_BY for one in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    texts = [one.read_bytes() for one in found if one.name not in ("table.py", "__main__.py")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()
