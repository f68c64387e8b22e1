"""The manual page docs/tinyvmi-build.1, made from the command line's own help.

tests/unit/test_docs.py holds the file equal; `python -m tests.support.reference` writes it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from tests.support import reference
from tinyvmi_build import __version__
from tinyvmi_build.cli.main import VERBS
from tinyvmi_build.cli.main import root as cli
from tinyvmi_build.errors import Exit

PAGE = reference.ROOT / "docs" / "tinyvmi-build.1"

_FILES = (
    ("tinyvmi.toml", "The configuration of a monitor."),
    ("~/.config/tinyvmi/config.toml", "The user's defaults."),
    ("build/NAME/", "What build writes and launch reads."),
    ("~/.cache/tinyvmi/", "The cache; deleting it is always safe."),
)
_ENVIRONMENT = (
    ("TINYVMI_CACHE", "The folder of the cache."),
    ("TINYVMI_TABLE__KEY", "Sets a key of the configuration, e.g. TINYVMI_MONITOR__PERIOD=2s."),
    ("TINYVMI_TIMEOUT_FACTOR", "A fixed factor for every time limit."),
    ("TINYVMI_TRACEBACK", "If set, an internal error prints its traceback."),
)


def escaped(text: str) -> str:
    """`text` as troff prints it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)
    return "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)


def manual() -> str:
    """The page."""
    # With its settings: a command remembers the help option that the first context gave it.
    context = click.Context(cli, info_name="tinyvmi-build", **cli.context_settings)
    lines = [
        f'.TH TINYVMI\\-BUILD 1 "" "TinyVMI {__version__}" "TinyVMI"',
        ".SH NAME",
        "tinyvmi\\-build \\- build, launch and read monitors of the kernel integrity of Xen guests",
        ".SH SYNOPSIS",
        ".B tinyvmi\\-build",
        "[\\fIOPTIONS\\fR] \\fIVERB\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *paragraphs(cli.help or ""),
        ".SH OPTIONS",
        *options(cli, context),
        ".SH VERBS",
    ]
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        lines += described(command, context, verb)
    lines += [".SH EXIT STATUS", *terms((str(int(code)), reference.STATUS[code.name]) for code in Exit)]
    lines += [".SH ENVIRONMENT", *terms(_ENVIRONMENT), ".SH FILES", *terms(_FILES)]
    lines += [".SH SEE ALSO", ".BR xl (1),", ".BR xl.cfg (5)"]
    return "\n".join(lines) + "\n"


def described(command: click.Command, above: click.Context, name: str) -> Iterator[str]:
    """A verb with its options, and the verbs below it."""
    context = click.Context(command, info_name=name, parent=above)
    arguments = " ".join(piece for piece in command.collect_usage_pieces(context) if piece)
    path = context.command_path.removeprefix("tinyvmi-build ")
    yield f".SS {escaped(path)} {escaped(arguments)}".rstrip()
    yield from paragraphs(command.help or "")
    yield from options(command, context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from described(found, context, below)


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """The options that have a help text."""
    records = (p.get_help_record(context) for p in command.params if isinstance(p, click.Option))
    yield from terms(record for record in records if record is not None)


def terms(pairs: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    """A list of terms and their meaning."""
    for term, meaning in pairs:
        yield ".TP"
        yield f".B {escaped(term)}"
        yield escaped(meaning.replace("**", ""))


def paragraphs(text: str) -> Iterator[str]:
    """A help text: paragraphs, and examples as they are."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if number:
            yield ".PP"
        if paragraph.lstrip().startswith("\b"):
            yield from (".nf", escaped(paragraph.lstrip().removeprefix("\b").strip()), ".fi")
        else:
            yield escaped(" ".join(paragraph.split()))
