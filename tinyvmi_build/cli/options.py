"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def project_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--config` and `--set`: which configuration, and its last layer."""
    config = click.option(
        "-c",
        "--config",
        "project",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="tinyvmi.toml, or the folder with it (default: this one).",
    )
    sets = click.option(
        "-s",
        "--set",
        "sets",
        metavar="KEY=VALUE",
        multiple=True,
        help="Override one key, e.g. monitor.period=2s.",
    )
    return config(sets(function))
