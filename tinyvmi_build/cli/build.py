"""`tinyvmi-build build`: from tinyvmi.toml to an image."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import Verb, project_options, strict_option
from tinyvmi_build.progress import Progress


@click.command("build", cls=Verb)
@project_options
@strict_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document about the build.")
@click.pass_obj
def command(
    progress: Progress, project: Path | None, sets: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Render and cross-build the monitor that tinyvmi.toml describes.

    Leaves in build/NAME the image (tinyvmi-NAME.gz), its xl config, the profile
    and a manifest: all that `launch` needs. What has not changed is not built again.

    \b
    Examples:
      tinyvmi-build build
      tinyvmi-build build -c web/ --set 'checks.idt=false'
    """
    from tinyvmi_build.config.load import load
    from tinyvmi_build.files import require_folder
    from tinyvmi_build.image.build import build_folder, build_monitor, profiles_of
    from tinyvmi_build.image.toolchain import require_toolchain
    from tinyvmi_build.profile.coverage import report_coverage

    start = time.monotonic()
    loaded = load(project, sets)
    require_toolchain()
    require_folder(build_folder(loaded))
    profiles = profiles_of(loaded.config, progress)
    covered = report_coverage(profiles.kernels, progress, loaded.config.checks_made, strict)
    result = build_monitor(loaded, progress, profiles=profiles)
    if as_json:
        document = {
            "folder": str(result.folder),
            "image": str(result.image),
            "elf": str(result.elf),
            "xl_config": str(result.xl_config),
            "profile": str(result.profile),
            "manifest": str(result.manifest),
            "image_id": result.image_id,
            "compiled": result.objects,
            "kernels": covered,
            "changes": {change.path: change.what for change in result.changes},
        }
        click.echo(json_output.document("build", document))
        return
    work = f"{result.objects} C files compiled" if result.objects else "nothing was recompiled"
    click.echo(
        f"{_short(result.image)}  {result.image.stat().st_size / 1024:.0f} KiB, image {result.image_id}"
    )
    progress.note(
        f"{work}, {time.monotonic() - start:.1f} s; next: tinyvmi-build launch {_short(result.folder)}"
    )


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
