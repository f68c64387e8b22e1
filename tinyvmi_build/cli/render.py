"""`tinyvmi-build render`: write the generated files, say what changed."""

from __future__ import annotations

from pathlib import Path

import click

from tinyvmi_build.cli.options import Verb, project_options
from tinyvmi_build.progress import Progress


@click.command("render", cls=Verb)
@project_options
@click.pass_obj
def command(progress: Progress, project: Path | None, sets: tuple[str, ...]) -> None:
    """Write the generated C and the xl config into build/NAME and say what changed.

    Only files whose content changed are touched; generated files that are no
    longer wanted are removed. tinyvmi-NAME.te is the policy module for FLASK
    mode; in that mode the commands to build and load it are printed, too.

    \b
    Examples:
      tinyvmi-build render
      tinyvmi-build render -c web/tinyvmi.toml --set monitor.period=500ms
      tinyvmi-build render --set privilege.mode=flask
    """
    from tinyvmi_build.config.load import load
    from tinyvmi_build.image.build import build_folder, profiles_of, render_monitor
    from tinyvmi_build.render.plan import artifact

    loaded = load(project, sets)
    profiles = profiles_of(loaded.config, progress)
    for change in render_monitor(loaded, profiles):
        click.echo(f"{change.what:<9}  {build_folder(loaded) / change.path}")
    if loaded.config.privilege.mode == "flask":
        click.echo(_policy_commands(build_folder(loaded), artifact(loaded.config)), err=True)


def _policy_commands(folder: Path, name: str) -> str:
    from tinyvmi_build.paths import doc

    return f"""to build and load the policy module, with the running Xen's source
({doc("design/privilege.md")}):
  cp {folder / name}.te XEN/tools/flask/policy/modules/
  echo '{name} = on' >> XEN/tools/flask/policy/modules/modules.conf
  make -C XEN/tools/flask/policy -f Makefile.common FLASK_BUILD_DIR=/tmp/policy XEN_FULLVERSION=4.17
  xl loadpolicy /tmp/policy/xenpolicy-4.17"""
