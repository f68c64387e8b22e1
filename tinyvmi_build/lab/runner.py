"""A run of the lab: build the monitor, boot, run scenarios, report how they came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from tinyvmi_build.checks.tamper import register_changes
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import Exit, UsageError
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.lab import monitor
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.options import MachineOptions, TargetOptions
from tinyvmi_build.lab.project import kernel_to_boot
from tinyvmi_build.lab.scenario import Scenario, ScenarioRunner, Step, exit_status, run_scenario
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.events import Event
from tinyvmi_build.render.plan import artifact, domain_items, rendered, seclabel
from tinyvmi_build.report.json_lines import JsonLines
from tinyvmi_build.report.reporter import Reporter
from tinyvmi_build.report.stamp import Stamp
from tinyvmi_build.report.terminal import Terminal


class LabReporter:
    """Reports a run as it goes: the monitor's events and the scenario's steps, as text or JSON Lines."""

    def __init__(self, stream: TextIO, as_json: bool, profiles: ProfileFile):
        explainer = Explainer(profiles)
        self._stream = stream
        self._json = JsonLines(stream, explainer, stamp=Stamp("target")) if as_json else None
        self._reporter: Reporter = self._json or Terminal(stream, explainer)

    def events(self, events: Iterable[Event]) -> None:
        self._reporter.events(events)

    def scenario(self, chosen: Scenario) -> None:
        if self._json:
            self._json.write("scenario", name=chosen.name, description=chosen.description)
        else:
            self._line(f"\n== {chosen.name}: {chosen.description}")

    def step(self, what: str, text: str) -> None:
        if not self._json:
            self._line(f"-> {text}" if what == "begin" else f"   {text}")

    def close(self, results: dict[str, list[Step]], status: Exit) -> None:
        """The closing table."""
        if self._json:
            scenarios = {name: [asdict(step) for step in steps] for name, steps in results.items()}
            self._json.write("lab", exit=int(status), scenarios=scenarios)
            return
        rows = [(name, step) for name, steps in results.items() for step in steps]
        width = max([4, *(len(step.title) for _, step in rows)])
        self._line("")
        for name, step in rows:
            mark = "ok  " if step.ok else "FAIL"
            expected = "" if step.ok else f" (expected {step.expected})"
            text = f"  {mark} {name:<12} {step.title:<{width}}  {step.got}{expected}  {step.note}"
            self._line(text.rstrip())
        failed = sum(not step.ok for _, step in rows)
        self._line(f"\n{len(rows)} steps, {failed} not as expected")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def monitor_files(built: BuildResult, folder: str = monitor.FILES) -> dict[str, Path | bytes]:
    """What a dom0 needs of a build, as files for the lab."""
    files = (built.image, built.xl_config, built.profile, built.manifest)
    return {f"{folder}/{path.name}": path for path in files}


def policy_modules(*configs: Config) -> dict[str, str]:
    """The FLASK modules that `render` writes for `configs`, by name."""
    return {artifact(config): rendered(domain_items(config))[f"{artifact(config)}.te"] for config in configs}


@dataclass(frozen=True)
class RunOptions:
    """How a run is to be made."""

    as_json: bool = False
    keep: bool = False  # the lab's folder
    kvm: bool = False
    suite: str | None = None  # whose Xen; None: one that works here
    guest_kind: str = "pvh"


def run(
    loaded: Loaded,
    chosen: list[Scenario],
    options: RunOptions,
    stream: TextIO,
    progress: Progress,
) -> Exit:
    """Run `chosen` in one lab; the exit status by the documented codes."""
    if options.guest_kind == "pv" and loaded.config.privilege.mode != "flask":
        raise UsageError("target mode cannot watch a PV guest", hint="lab run --xsm --guest pv")
    with progress.step(f"build the monitor '{loaded.config.monitor.name}'"):
        built = build_monitor(loaded, progress)
    profiles = ProfileFile.load(built.profile)
    reporter = LabReporter(stream, options.as_json, profiles)
    flask = loaded.config.privilege.mode == "flask"
    lab = Lab(
        monitor_files(built),
        MachineOptions(
            target_kernel=kernel_to_boot(loaded),
            kvm=options.kvm,
            suite=options.suite,
            policy=policy_modules(loaded.config) if flask else None,
            keep=options.keep,
        ),
        progress,
    )
    results: dict[str, list[Step]] = {}
    with lab:
        label = seclabel(loaded.config, "target") if flask else ""
        target = lab.create_target(options=TargetOptions(kind=options.guest_kind, label=label))
        watching = Monitor(lab, target, reporter, domain=artifact(loaded.config))
        guest = LiveGuest(target, watching.wait_kernel(), profiles)
        registers = register_changes(options.guest_kind, loaded.config.checks_made)
        for scenario in chosen:
            reporter.scenario(scenario)
            runner = ScenarioRunner(target, watching, guest, reporter.step, registers)
            results[scenario.name] = run_scenario(scenario, runner)
            if watching.status is not None:
                break
        if watching.status is None:
            watching.stop()
    status = exit_status([step for steps in results.values() for step in steps])
    reporter.close(results, status)
    return status
