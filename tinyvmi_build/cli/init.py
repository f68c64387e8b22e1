"""`tinyvmi-build init`: a commented tinyvmi.toml to start from."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import PATH, Verb, strict_option
from tinyvmi_build.errors import UsageError
from tinyvmi_build.progress import Progress


@dataclass(frozen=True)
class Options:
    """What `init` was asked for."""

    folder: Path
    kernels: tuple[Path, ...]
    name: str | None
    target: str
    force: bool
    strict: bool
    as_json: bool


@click.command("init", cls=Verb)
@click.argument("folder", metavar="[DIR]", required=False, type=PATH, default=Path())
@click.option(
    "--kernel",
    "kernels",
    metavar="PATH",
    required=True,
    multiple=True,
    type=PATH,
    help="A kernel that the guest may run: .deb, vmlinuz or a folder; may be repeated.",
)
@click.option("--name", metavar="N", help="Names the monitor (default: after the folder).")
@click.option("--target", metavar="DOM", default="", help="The guest's domain, by name or number.")
@click.option("--force", is_flag=True, help="Overwrite a tinyvmi.toml that is there.")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document about what was written.")
@click.pass_obj
def command(progress: Progress, /, **given: Any) -> None:
    """Write a commented tinyvmi.toml, and its JSON Schema, into DIR (default: here).

    The kernels' profiles are built, into the cache, and what cannot be verified is named. A vmlinuz alone
    has no modules with it: give its package, or name their folder as kernel.modules.

    \b
    Examples:
      apt-get download linux-image-6.1.0-42-cloud-amd64
      tinyvmi-build init --kernel linux-image-6.1.0-42-cloud-amd64_*.deb
      tinyvmi-build init --kernel /boot/vmlinuz-6.1.0-42-amd64 --name web --target web-1 monitors/web
    """
    from tinyvmi_build.config.load import FILE_NAME
    from tinyvmi_build.config.model import KEYS, NAME, Config
    from tinyvmi_build.config.schema import SCHEMA_FILE, schema_text
    from tinyvmi_build.config.write import commented
    from tinyvmi_build.files import require_folder, write_file
    from tinyvmi_build.kernel.package import kernel_path, require_kernel
    from tinyvmi_build.profile.build import build, wanted_modules
    from tinyvmi_build.profile.coverage import report_coverage

    options = Options(**given)
    file = options.folder / FILE_NAME
    if os.path.lexists(file) and not options.force:
        raise UsageError(f"{file} exists already", hint="--force overwrites it")
    values: dict[tuple[str, ...], Any] = {("monitor", "name"): options.name or _name_of(options.folder)}
    try:
        NAME.parse(values[("monitor", "name")], options.folder)
        KEYS[("target", "domain")].kind.parse(options.target, options.folder)
    except ValueError as error:
        raise UsageError(f"--name, --target: must be {error}") from error
    if options.target:
        values[("target", "domain")] = options.target
    for kernel in options.kernels:
        require_kernel(kernel_path(kernel))
    require_folder(options.folder)
    profiles = build(options.kernels, progress, wanted_modules(Config()))
    covered = report_coverage(profiles.kernels, progress, Config().checks_made, options.strict)
    paths = [_relative(path, options.folder) for path in options.kernels]
    options.folder.mkdir(parents=True, exist_ok=True)
    write_file(options.folder / SCHEMA_FILE, schema_text())
    write_file(file, commented(values | {("kernel", "packages"): paths}))
    if options.as_json:
        click.echo(json_output.document("init", {"file": str(file), "kernels": covered}))
    else:
        click.echo(str(file))
    progress.note(f"next: tinyvmi-build build{'' if options.folder == Path() else f' -c {options.folder}'}")


def _relative(path: Path, folder: Path) -> str:
    """`path` as the file in `folder` must name it; an absolute one stays."""
    if path.is_absolute():
        return str(path)
    # A link such as vmlinuz stays a link: it is meant to lead to the newest kernel.
    return os.path.relpath(path.parent.resolve() / path.name, folder.resolve())


def _name_of(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:31].strip("-")
    return name or "guest"
