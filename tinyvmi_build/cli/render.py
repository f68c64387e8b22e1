"""`tinyvmi-build render`: write the generated files, say what changed."""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import Progress
from .options import project_options


@click.command("render")
@project_options
@click.pass_obj
def command(progress: Progress, project: Path | None, sets: tuple[str, ...]) -> None:
    """Write the generated C and the xl config into build/NAME and say what changed.

    Only files whose content changed are touched; generated files that are no
    longer wanted are removed.

    \b
    Examples:
      tinyvmi-build render
      tinyvmi-build render -c web/tinyvmi.toml --set monitor.period=500ms
    """
    from ..config.load import load
    from ..image.build import build_folder, profiles_of, render_monitor

    loaded = load(project, sets)
    profiles = profiles_of(loaded.config, progress)
    for change in render_monitor(loaded, profiles):
        click.echo(f"{change.what:<9}  {build_folder(loaded) / change.path}")
