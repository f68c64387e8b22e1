"""A comparison in the nested lab: everything in one boot."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyvmi_build.bench.measurements import Measurements
from tinyvmi_build.bench.options import LabOptions
from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import ICOUNT, Run
from tinyvmi_build.bench.summary import summarize
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.dump.checker import dom0_checker
from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError, UsageError
from tinyvmi_build.image.build import BuildResult, build_limit, build_monitor
from tinyvmi_build.lab.options import AVX2_CPU, PLAIN_CPU, MachineOptions
from tinyvmi_build.lab.project import kernel_to_boot
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import VARIABLE, scale, timeout

MONITOR = "/lab/monitor"
DOM0 = "/lab/tinyvmi-dom0"
LIMIT = "/lab/limit/limit.elf"
DIGEST_MONITOR = "/lab/monitor-digest"
DIGEST_DOM0 = "/lab/tinyvmi-dom0-digest"
LIBVMI = "/lab/libvmi/read"
_PLAN = "/lab/plan.json"
_ROUND_S = 120
INCREMENTAL_CHECKS = 40

#: Measures something in a lab that is up, and puts it into the run.
LabMeasurement = Callable[[Lab, Target, Run], None]


@dataclass(frozen=True)
class Programs:
    """What is compared, as files of this machine."""

    built: BuildResult
    dom0: Path
    limit: Path
    digest: tuple[BuildResult, Path] | None = None  # monitor and dom0's, with golden.comparison = "digest"
    more: Mapping[str, Path | bytes] = field(default_factory=dict)  # what other measurements need in dom0
    libvmi: dict[str, Path] | None = None  # path in dom0 → file: the program at LIBVMI, and its libraries

    def files(self) -> dict[str, Path | bytes]:
        files = {**monitor_files(self.built, MONITOR), DOM0: self.dom0, LIMIT: self.limit}
        if self.digest:
            files |= {**monitor_files(self.digest[0], DIGEST_MONITOR), DIGEST_DOM0: self.digest[1]}
        return {**files, **self.more, **(self.libvmi or {})}

    def executables(self) -> list[str]:
        """Paths in dom0."""
        return [DOM0, *([DIGEST_DOM0] if self.digest else []), *(self.libvmi or {})]

    def plan(self, target: Target, options: LabOptions) -> Plan:
        """What dom0 is asked to measure."""
        return Plan(
            target=target.name,
            monitor=MONITOR,
            dom0=DOM0,
            limit=LIMIT,
            digest_monitor=DIGEST_MONITOR if self.digest else "",
            digest_dom0=DIGEST_DOM0 if self.digest else "",
            libvmi=LIBVMI if self.libvmi else "",
            rounds=options.rounds,
            scans=options.scans,
            incremental_checks=INCREMENTAL_CHECKS,
        )


def programs(loaded: Loaded, digests: Loaded | None, progress: Progress) -> Programs:
    """Build all of them, where the next run finds them.  `digests`: with golden.comparison = "digest"."""
    if loaded.config.minios.tree != "built-in":
        raise UsageError("bench measures monitors on the built-in base", hint="--set minios.tree=built-in")
    built = build_monitor(loaded, progress)
    profiles = ProfileFile.load(built.profile)
    limit = build_limit(loaded, profiles, progress, built.folder)
    digest = None
    if digests:
        folder = built.folder.with_name(f"{built.folder.name}-digest")
        digest = (build_monitor(digests, progress, folder), dom0_checker(digests, profiles, progress))
    return Programs(built, dom0_checker(loaded, profiles, progress), limit, digest)


@dataclass(frozen=True)
class Boot:
    """What is measured in one boot of the lab."""

    clock: str
    measurements: Sequence[LabMeasurement] = ()  # beside the comparison, in turn
    guest_files: Mapping[str, Path | bytes] = field(default_factory=dict)
    more_modules: tuple[str, ...] = ()  # for the target to load


def compare(loaded: Loaded, compared: Programs, boot: Boot, options: LabOptions, progress: Progress) -> Run:
    """Boot, compare, make the other measurements."""
    run = Run(boot.clock)
    lab = Lab(
        compared.files(),
        MachineOptions(
            target_kernel=kernel_to_boot(loaded),
            target_files=boot.guest_files,
            more_modules=tuple(boot.more_modules),
            icount=boot.clock == ICOUNT,
            cpu=AVX2_CPU if options.avx2 else PLAIN_CPU,
            keep=options.keep,
        ),
        progress,
    )
    with lab:
        lab.run(["chmod", "+x", *compared.executables()]).check()
        target = lab.create_target()
        run.kernel = target.release
        version = re.search(r"Xen version \S+", lab.console_log)
        run.xen = version[0] if version else ""
        with progress.step(f"compare, {options.rounds} rounds ({run.clock})"):
            summarize(run, measure_in_dom0(lab, compared.plan(target, options)))
        for measure in boot.measurements:
            try:
                measure(lab, target, run)
            except (TinyVMIError, TimeoutError) as error:
                # The run has what was measured so far, and names the gap.
                run.failed.append(str(error))
                progress.warn(str(error))
    return run


def measure_in_dom0(lab: Lab, plan: Plan) -> Measurements:
    """Carry out `plan` in dom0; MissingEnvironmentError if it fails or takes too long."""
    lab.agent.put(_PLAN, plan.text().encode())
    measured = Measurements()
    errors: list[str] = []
    factor = f"{VARIABLE}={scale():.2f}"
    remote = lab.spawn(["env", factor, "python3", "-m", "tinyvmi_build.bench.dom0_side", _PLAN])
    deadline = time.monotonic() + timeout(_ROUND_S * (plan.rounds + 1))
    while True:
        try:
            kind, line = remote.next(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            remote.kill()
            raise MissingEnvironmentError("the comparison in dom0 takes too long") from None
        if kind == "exit":
            break
        if kind == "out":
            measured.add_text(line)
        else:
            errors.append(line)
    if remote.status:
        raise MissingEnvironmentError("the comparison in dom0 failed: " + "\n".join(errors[-5:]))
    return measured
