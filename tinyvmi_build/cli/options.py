"""What the verbs' options share: `--config` and `--set`, kinds of values, options that are given once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tinyvmi_build.duration import parse_duration

Function = TypeVar("Function", bound=Callable[..., Any])
_PATH_MAX, _NAME_MAX = 4095, 255  # bytes, as Linux has them


class Verb(click.Command):
    """A command that refuses an option that is given twice, unless the option may repeat or is a flag.

    click itself takes the last one and drops the others in silence.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for param in dict.fromkeys(given):
            once = isinstance(param, click.Option) and not (param.multiple or param.is_flag or param.count)
            if once and given.count(param) > 1 and not ctx.resilient_parsing:
                raise click.UsageError(f"option '{max(param.opts, key=len)}' is given more than once", ctx)
        return super().parse_args(ctx, args)


class VerbGroup(click.Group):
    """A verb that has verbs of its own."""

    command_class = Verb


class DurationType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A time as `tinyvmi_build.duration` reads it → milliseconds."""

    name = "time"

    def __init__(self, low_ms: int, high_ms: int):
        self.low_ms, self.high_ms = low_ms, high_ms

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value), self.low_ms, self.high_ms)
        except ValueError as error:
            self.fail(f"'{value}' must be {error}", param, ctx)


class PathType(click.Path):
    """A path that the system can be asked about: longer ones would fail wherever they are first used."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        raw = os.fsencode(value)
        if len(raw) > _PATH_MAX or max(map(len, raw.split(b"/"))) > _NAME_MAX:
            self.fail(f"the path is too long ({len(raw)} bytes, '{os.fsdecode(raw[:40])}…')", param, ctx)
        if not raw or b"\0" in raw:
            self.fail("a path cannot be empty", param, ctx)
        try:
            os.stat(raw)
        except OSError as error:
            if error.errno == errno.ELOOP:  # pathlib raises RuntimeError for it
                self.fail(f"'{os.fsdecode(raw)}' is a symbolic link that leads to itself", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathType()


def project_options(function: Function) -> Function:
    """`--config` and `--set`: which configuration, and its last layer."""
    config = click.option(
        "-c",
        "--config",
        "project",
        metavar="FILE",
        type=PATH,
        help="tinyvmi.toml, or the folder with it (default: this one).",
    )
    sets = click.option(
        "-s",
        "--set",
        "sets",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=complete_key,
        help="Override one key, e.g. monitor.period=2s.",
    )
    return config(sets(function))


def strict_option(function: Function) -> Function:
    """`--strict`: what the profile cannot verify is an error."""
    return click.option(
        "--strict", is_flag=True, help="End with status 3 if anything cannot be verified, and write nothing."
    )(function)


def complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The configuration's keys, each with what it means."""
    from tinyvmi_build.config.model import KEYS

    return [
        CompletionItem(f"{key.dotted}=", help=key.doc)
        for key in KEYS.values()
        if key.dotted.startswith(incomplete)
    ]


def complete_scenario(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The lab's scenarios."""
    from tinyvmi_build.lab.scenario import scenarios

    return [
        CompletionItem(scenario.name, help=scenario.description)
        for scenario in scenarios().values()
        if scenario.name.startswith(incomplete)
    ]
