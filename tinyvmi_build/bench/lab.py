"""A comparison in the nested lab: everything in one boot."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import ICOUNT, WALL, Run
from tinyvmi_build.bench.run import finish
from tinyvmi_build.bench.samples import Told
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.dump.checker import dom0_checker
from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError, UsageError
from tinyvmi_build.image.build import BuildResult, build_limit, build_monitor
from tinyvmi_build.lab.project import kernel_to_boot
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import AVX2_CPU, PLAIN_CPU, Lab
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
_LOOKS = 40


@dataclass(frozen=True)
class Programs:
    """What is compared, as files of this machine."""

    built: BuildResult
    dom0: Path
    limit: Path
    digest: tuple[BuildResult, Path] | None = None  # monitor and dom0's, with golden.comparison = "digest"
    more: Mapping[str, Path | bytes] = field(default_factory=dict)  # what extras need in dom0
    libvmi: dict[str, Path] | None = None  # path in dom0 → file: the program at LIBVMI, and its libraries

    def files(self) -> dict[str, Path | bytes]:
        files = {**monitor_files(self.built, MONITOR), DOM0: self.dom0, LIMIT: self.limit}
        if self.digest:
            files |= {**monitor_files(self.digest[0], DIGEST_MONITOR), DIGEST_DOM0: self.digest[1]}
        return {**files, **self.more, **(self.libvmi or {})}


def programs(loaded: Loaded, digests: Loaded | None, progress: Progress) -> Programs:
    """Build all of them; kept where the next run finds them.  `digests`: the same with compare = "digest"."""
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


def compare(
    loaded: Loaded,
    what: Programs,
    *,
    icount: bool,
    avx2: bool = False,
    rounds: int,
    scans: int,
    extras: Sequence[Callable[[Lab, Target, Run], None]] = (),
    guest_files: Mapping[str, Path | bytes] | None = None,
    more_modules: tuple[str, ...] = (),
    progress: Progress,
    keep: bool = False,
) -> Run:
    """Boot, compare, measure.  `extras`: called with (lab, target, run) while the lab is up."""
    run = Run(ICOUNT if icount else WALL)
    lab = Lab(
        what.files(),
        target_kernel=kernel_to_boot(loaded),
        target_files=guest_files,
        more_modules=more_modules,
        icount=icount,
        cpu=AVX2_CPU if avx2 else PLAIN_CPU,
        progress=progress,
        keep=keep,
    )
    with lab:
        executable = [DOM0, *([DIGEST_DOM0] if what.digest else []), *(path for path in what.libvmi or {})]
        lab.run(["chmod", "+x", *executable]).check()
        target = lab.create_target()
        run.kernel = target.release
        version = re.search(r"Xen version \S+", lab.console_log)
        run.xen = version[0] if version else ""
        plan = Plan(
            target=target.name,
            monitor=MONITOR,
            dom0=DOM0,
            limit=LIMIT,
            digest_monitor=DIGEST_MONITOR if what.digest else "",
            digest_dom0=DIGEST_DOM0 if what.digest else "",
            libvmi=LIBVMI if what.libvmi else "",
            rounds=rounds,
            scans=scans,
            looks=_LOOKS,
        )
        with progress.step(f"compare, {rounds} rounds ({run.clock})"):
            finish(run, inside(lab, plan))
        for extra in extras:
            try:
                extra(lab, target, run)
            except (TinyVMIError, TimeoutError) as error:
                # What was measured so far is kept, and the gap is told.
                run.failed.append(str(error))
                progress.warn(str(error))
    return run


def inside(lab: Lab, plan: Plan) -> Told:
    """Carry out `plan` in dom0: what was told."""
    lab.agent.put(_PLAN, plan.text().encode())
    told = Told()
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
            told.take(line)
        else:
            errors.append(line)
    if remote.status:
        raise MissingEnvironmentError("the comparison in dom0 failed: " + "\n".join(errors[-5:]))
    return told
