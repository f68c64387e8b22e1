"""Run an experiment as a program: an error of the tool is one line and its documented status."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from tinyvmi_build.errors import TinyVMIError


def run(main: Callable[[], object]) -> None:
    """Call the click command `main`."""
    try:
        main()
    except TinyVMIError as error:
        click.echo(f"error: {error.message}", err=True)
        sys.exit(int(error.exit))
