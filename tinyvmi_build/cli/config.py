"""`tinyvmi-build config`: check, show, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import VerbGroup, project_options

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Key


@click.group("config", cls=VerbGroup)
def command() -> None:
    """Check and show the configuration.

    Layers, weakest first: defaults, ~/.config/tinyvmi/config.toml, tinyvmi.toml,
    the environment, --set. A key is set from the environment by its name in
    capitals with two underscores between table and key:
    TINYVMI_MONITOR__PERIOD=2s, TINYVMI_CHECKS__SYSCALL_TABLE=false.
    """


@command.command("check")
@project_options
def check(project: Path | None, sets: tuple[str, ...]) -> None:
    """Check tinyvmi.toml, the layers around it, and that the files are there that it names.

    \b
    Example:
      tinyvmi-build config check
    """
    from tinyvmi_build.config.load import load
    from tinyvmi_build.config.sources import require_sources

    loaded = load(project, sets)
    require_sources(loaded)
    click.echo(f"{loaded.file}: good; checks: {', '.join(loaded.config.checks_made)}")


@command.command("show")
@project_options
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with origins.")
def show(project: Path | None, sets: tuple[str, ...], origin: bool, as_json: bool) -> None:
    """Show every key with its effective value.

    \b
    Examples:
      tinyvmi-build config show
      tinyvmi-build config show --origin --set monitor.jitter=0
    """
    from tinyvmi_build.config.load import load
    from tinyvmi_build.config.model import KEYS

    loaded = load(project, sets)
    rows = []
    for key in KEYS.values():
        rows.append((key, key.value(loaded.config), loaded.origins[key.dotted]))
    if as_json:
        document = {
            "file": str(loaded.file),
            "keys": {
                key.dotted: {"value": None if value is None else _plain(value), "origin": where}
                for key, value, where in rows
            },
        }
        click.echo(json_output.document("config", document))
        return
    for key, value, where in rows:
        text = (
            "(the kernel's own)"
            if value is None and key.default is None and _lists(key)
            else key.kind.show(value)
        )
        line = f"{key.dotted} = {text}"
        click.echo(f"{line:<44}  # {where}" if origin else line)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of tinyvmi.toml, for editors.

    \b
    Example:
      tinyvmi-build config schema > tinyvmi.schema.json
    """
    from tinyvmi_build.config.schema import schema_text

    click.echo(schema_text(), nl=False)


def _lists(key: Key) -> bool:
    return bool(key.kind.schema()["type"] == "array")


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
