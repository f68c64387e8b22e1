"""`tinyvmi-build lab`: nested Xen in QEMU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tinyvmi_build.cli.options import VerbGroup, complete_scenario, project_options
from tinyvmi_build.progress import Progress


def xen_suite(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option that names another Xen."""
    from tinyvmi_build.lab.machine.packages import XEN_VERSIONS

    versions = ", ".join(f"{version} ({suite})" for suite, version in XEN_VERSIONS.items())
    return click.option(
        "--xen-suite",
        type=click.Choice(list(XEN_VERSIONS)),
        help=f"Debian release whose Xen, tools and dom0 kernel are booted: {versions}."
        " Default: the first of bookworm and trixie that runs a guest under this machine's QEMU.",
    )(function)


@click.group("lab", cls=VerbGroup)
def command() -> None:
    """Run Xen, a Linux target and a monitor in QEMU, on a machine without Xen.

    Needs QEMU and Debian's packages, which are fetched and unpacked into a
    cache; nothing is installed and no root is needed.
    """


@command.command("run")
@click.option(
    "--scenario",
    "names",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_scenario,
    help="Default: first-light. May be repeated.",
)
@click.option("--keep", is_flag=True, help="Keep the lab's folder with all logs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.option("--kvm", is_flag=True, help="Use KVM with nested SVM or VMX instead of emulation.")
@xen_suite
@click.option(
    "--xsm", is_flag=True, help="FLASK mode, registers included, on a Xen with XSM built from source."
)
@click.option(
    "--guest",
    type=click.Choice(["pvh", "pv"]),
    default="pvh",
    show_default=True,
    help="How the target runs; PV needs --xsm.",
)
@project_options
@click.pass_obj
def run_(
    progress: Progress,
    names: tuple[str, ...],
    keep: bool,
    as_json: bool,
    kvm: bool,
    xen_suite: str | None,
    xsm: bool,
    guest: str,
    project: Path | None,
    sets: tuple[str, ...],
) -> int:
    """Build a monitor, boot QEMU, Xen, dom0, target and monitor, and run scenarios.

    Without a tinyvmi.toml here or in --config, the monitor is built for the
    cloud kernel that Debian offers today. Exits with 0 if every step came out
    as expected, 5 for a tampering that should not be, 6 if the monitor was
    lost, 4 if the lab did not come up, 3 for what was not verified, and 1 for
    a tamper that was not seen. `lab list` shows the scenarios.

    \b
    Examples:
      tinyvmi-build lab run
      tinyvmi-build lab run --scenario tampers --scenario rescans
      tinyvmi-build lab run --config web/ --json
      tinyvmi-build lab run --xen-suite trixie
      tinyvmi-build lab run --xsm --scenario tampers
    """
    from tinyvmi_build.lab.project import loaded_project
    from tinyvmi_build.lab.runner import RunOptions, run
    from tinyvmi_build.lab.scenario import scenario
    from tinyvmi_build.timeouts import calibrate

    progress.note(f"emulation timeout scale: {calibrate():.1f}")
    chosen = [scenario(name) for name in names or ("first-light",)]
    if xsm:
        sets = ("privilege.mode=flask", "privilege.vcpu_context=true", *sets)
    loaded = loaded_project(project, sets, progress)
    return int(
        run(
            loaded,
            chosen,
            RunOptions(as_json=as_json, keep=keep, kvm=kvm, suite=xen_suite, guest_kind=guest),
            sys.stdout,
            progress,
        )
    )


@command.command("list")
def list_() -> None:
    """List the scenarios: what each does and what has to come out."""
    from tinyvmi_build.lab.scenario import scenarios

    for scenario in scenarios().values():
        click.echo(f"{scenario.name:<14} {scenario.description}\n{'':<14} expected: {scenario.expectation}")


@command.command("shell")
@click.option("--kvm", is_flag=True, help="Use KVM with nested SVM or VMX instead of emulation.")
@xen_suite
@project_options
@click.pass_obj
def shell(
    progress: Progress, kvm: bool, xen_suite: str | None, project: Path | None, sets: tuple[str, ...]
) -> None:
    """Boot the lab with a target, and stay at dom0's console; Ctrl-] leaves and ends it.

    The monitor's build folder is /lab/monitor there, the target is running.

    \b
    In dom0, for example:
      xl list
      tinyvmi-build launch /lab/monitor --scans 1
      python3 -m tinyvmi_build.lab.memory read 1 0x1000000 16
    """
    from tinyvmi_build.image.build import build_monitor
    from tinyvmi_build.lab.options import MachineOptions, TargetOptions
    from tinyvmi_build.lab.project import kernel_to_boot, loaded_project
    from tinyvmi_build.lab.runner import monitor_files, policy_modules
    from tinyvmi_build.lab.session import Lab
    from tinyvmi_build.lab.shell import attach
    from tinyvmi_build.render.plan import seclabel
    from tinyvmi_build.timeouts import calibrate

    calibrate()
    loaded = loaded_project(project, sets, progress)
    built = build_monitor(loaded, progress)
    files = monitor_files(built)
    flask = loaded.config.privilege.mode == "flask"
    policy = policy_modules(loaded.config) if flask else None
    with Lab(
        files,
        MachineOptions(target_kernel=kernel_to_boot(loaded), kvm=kvm, suite=xen_suite, policy=policy),
        progress,
    ) as lab:
        lab.create_target(options=TargetOptions(label=seclabel(loaded.config, "target") if flask else ""))
        progress.note("dom0's console; Ctrl-] leaves")
        attach(lab.folder / "console.sock")
