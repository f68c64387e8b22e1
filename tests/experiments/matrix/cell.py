"""One cell of the grid: a kernel is booted under a circumstance, and all checks run over its memory."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tests.dump.text_oracle
from tests.dump.circumstances import Circumstance
from tests.dump.guest_side import said
from tests.dump.text_subject import boot_of, unexplained
from tinyvmi_build.config.load import FILE_NAME, Loaded, load
from tinyvmi_build.dump import checker
from tinyvmi_build.dump.recognise import read_image
from tinyvmi_build.dump.run import check_image
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.build import profiles_of
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.lab.guest.modules import in_order
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel, parts_of, unpacked_kernel
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.progress import Progress

#: What may become of a cell besides a verdict: the circumstance cannot come about; the lab did not work.
IMPOSSIBLE, FAILED = "impossible", "failed"
#: What a guest loads where the circumstance has no wish of its own: `modules` shall have something to check.
LOADED = ("crc32c_generic?", "nf_tables", "veth")
_FRAME = re.compile(r"^\[[ .0-9]+\]  ?([a-z_]\w*)\+0x", re.M)  # a sure one: no question mark
_ORACLE = hashlib.sha256(Path(tests.dump.text_oracle.__file__).read_bytes()).hexdigest()


class Kernel:
    """A kernel of the grid, by metapackage: what its dumps are checked by."""

    def __init__(self, metapackage: str, suite: str, progress: Progress):
        flavour = metapackage.removeprefix("linux-image-").removesuffix("amd64").strip("-")
        self.name = f"{suite} {flavour or 'generic'}"
        self.metapackage, self.suite = metapackage, suite
        self.package = fetch_kernel(metapackage, suite, progress)
        self.memory_mib = 256 if "cloud" in metapackage else 512
        self._progress = progress
        self._lock = threading.Lock()
        with tempfile.TemporaryDirectory(prefix="tinyvmi-matrix.") as folder:
            config = Path(folder) / FILE_NAME
            packages = json.dumps([str(part) for part in parts_of(self.package)])
            config.write_text(f"[kernel]\npackages = {packages}\n")
            self.loaded: Loaded = load(config, env={})
        self.profiles: ProfileFile = profiles_of(self.loaded.config, progress)
        self.profile: KernelProfile = self.profiles.kernels[0]
        self.digest = checker.key(self.loaded, self.profiles)

    @cached_property
    def _image(self) -> KernelImage:
        return KernelImage.load(self.package)

    @property
    def image(self) -> KernelImage:
        with self._lock:
            return self._image

    @cached_property
    def _checker(self) -> Path:
        return checker.checker(self.loaded, self.profiles, self._progress)

    @property
    def checker(self) -> Path:
        with self._lock:
            return self._checker

    def forget(self) -> None:
        """Give back what was loaded for running cells."""
        self.__dict__.pop("_image", None)


@dataclass(frozen=True)
class Cell:
    """`kernel` under `circumstance`; another `seed` is another boot."""

    kernel: Kernel
    circumstance: Circumstance
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.kernel.name} · {self.circumstance.name}"

    @property
    def place(self) -> dict[str, Any]:
        """Which cell it is, whatever checks it."""
        return {
            "package": self.kernel.package.name,
            "circumstance": self.circumstance.name,
            "seed": self.seed,
        }

    @cached_property
    def _circumstance(self) -> Circumstance:
        return replace(self.circumstance, modules=self.circumstance.modules or LOADED)

    @cached_property
    def key(self) -> str:
        """Changes with the package, with how it is booted, and with what checks it."""
        boot = {k: str(v) if k == "files" else v for k, v in self._circumstance.boot().items()}
        parts = [self.kernel.package.name, self.kernel.digest, _ORACLE, boot, self.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def run(self, progress: Progress, keep: bool = False) -> dict[str, Any]:
        """The cell's result, a JSON object; `outcome` is a verdict, IMPOSSIBLE or FAILED."""
        start = time.monotonic()
        result: dict[str, Any] = {
            "key": self.key,
            "kernel": self.kernel.name,
            "release": self.kernel.profile.release,
            **self.place,
        }
        try:
            result |= self._checked(progress, keep)
        except MissingEnvironmentError as error:
            result |= {"outcome": FAILED, "reason": _brief(error.message)}
        except Exception as error:  # a fault of ours in one cell does not end a night's run
            result |= {"outcome": FAILED, "reason": f"internal error: {error!r}"}
        return result | {"seconds": round(time.monotonic() - start, 1)}

    def _checked(self, progress: Progress, keep: bool) -> dict[str, Any]:
        kernel, circumstance = self.kernel, self._circumstance
        try:
            in_order(unpacked_kernel(kernel.package), circumstance.modules)
        except MissingEnvironmentError as error:
            return {"outcome": IMPOSSIBLE, "reason": f"it has {error.message.partition(' has ')[2]}"}
        dump = raw_dump(
            kernel.package,
            DumpOptions(
                kernel.memory_mib,
                serial=self.seed,
                folder=cache_dir("matrix", "dumps"),  # its own: other tests' dumps are not its to delete
                **boot_of(circumstance, lambda: kernel.image),
            ),
            progress,
        )
        try:
            holds, evidence = said(dump.with_suffix(".console").read_text())
            if circumstance.script and not evidence:
                raise MissingEnvironmentError("the guest does not say whether the circumstance holds")
            if not holds:
                return {"outcome": IMPOSSIBLE, "reason": evidence[0]}
            return {"evidence": evidence, **self._verdict(dump)}
        finally:
            if not keep:
                dump.unlink()
                dump.with_suffix(".console").unlink(missing_ok=True)

    def _verdict(self, dump: Path) -> dict[str, Any]:
        loaded, reported = self.kernel.loaded, _Saved()
        collector = check_image(
            read_image(dump, "raw"), self.kernel.checker, loaded.config.checks_made, reported
        )
        if collector.lost_reason is not None:
            raise MissingEnvironmentError(f"the checker was lost: {collector.lost_reason}")
        kinds = Counter(f"{f['check']}: {f['kind']}" for f in reported.findings)
        verdict = collector.verdict
        return {
            "outcome": verdict.value if verdict else "unverifiable",
            "kinds": dict(sorted(kinds.items())),
            "checks": {
                name: {
                    "verdict": state.verdict.value,
                    "items": state.items,
                    "findings": state.findings,
                    "duration_us": state.duration_us,
                    **({"reason": state.reason} if state.reason else {}),
                }
                for name, state in collector.checks.items()
            },
            "findings": reported.findings[:4],
            "unexplained": unexplained(self.kernel, dump) if collector.kernel else None,
            "delta": collector.kernel["delta"] if collector.kernel else None,
        }


def _brief(message: str) -> str:
    """The first line, and where the kernel itself crashed if the console behind it tells."""
    first, _, console = message.partition("\n")
    trace = console.partition("Call Trace:")[2]
    crashed = _FRAME.search(trace)
    return f"{first}; the kernel had crashed in {crashed[1]}" if crashed else first


class _Saved:
    """A reporter (`dump.run.Reporter`) that keeps the findings."""

    def __init__(self) -> None:
        self.findings: list[dict[str, Any]] = []

    def events(self, events: list[Any], /) -> None:
        for event in events:
            record = getattr(event, "record", None)
            if record is not None and record.body["type"] == "finding":
                self.findings.append(record.body)
