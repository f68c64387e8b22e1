"""Which monitor the lab runs: a project's, or one of its own for today's cloud kernel."""

from __future__ import annotations

import json
from pathlib import Path

from tinyvmi_build.checks import registry
from tinyvmi_build.config.load import FILE_NAME, Loaded, load
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

_TEMPLATE = """\
# The lab's own project, written by `tinyvmi-build lab` when it is given none.
[monitor]
name = "lab"

[target]
domain = "target"

[kernel]
packages = [{package}]
"""


def own_project(progress: Progress) -> Path:
    """The tinyvmi.toml of the lab's own project, for the cloud kernel that Debian offers today."""
    project = cache_dir("lab") / FILE_NAME
    package = fetch_kernel(progress=progress)
    text = _TEMPLATE.format(package=json.dumps(str(package))) + _check_settings()
    if not project.exists() or project.read_text() != text:
        project.write_text(text)
    return project


def _check_settings() -> str:
    """What each check wants the lab's project to allow, as TOML."""
    lines = []
    for check in registry.checks():
        if check.lab_settings:
            lines += ["", f"[checks.{check.name}]"]
            lines += [f"{key} = {json.dumps(list(value))}" for key, value in check.lab_settings.items()]
    return "".join(f"{line}\n" for line in lines)


def loaded_project(project: Path | None, sets: tuple[str, ...], progress: Progress) -> Loaded:
    """The configuration `project` (or ./tinyvmi.toml, if there is one), else the lab's own."""
    if project is None and not Path(FILE_NAME).exists():
        project = own_project(progress)
    return load(project, sets)


def kernel_to_boot(loaded: Loaded) -> Path | None:
    """The package or vmlinuz that the target boots: the first that is configured; None for today's kernel."""
    return next(iter(loaded.config.kernel.packages), None)
