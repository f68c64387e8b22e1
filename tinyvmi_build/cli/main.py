"""`tinyvmi-build`: finds the verb, and turns what goes wrong into one line and an exit status.

Each verb is a module of this package with a click command named `command`; it
is imported when it is used, so that a verb that a small dom0 needs does not
load what only a build machine has.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from tinyvmi_build import __version__
from tinyvmi_build.errors import Exit, MissingEnvironmentError, TinyVMIError
from tinyvmi_build.progress import Progress
from tinyvmi_build.python_packages import missing_package
from tinyvmi_build.safe_text import printable

# In the order of use.  The short help stands here so that `--help` imports no verb.
VERBS = {
    "doctor": "Check this machine: what is there, what is missing, how to get it.",
    "init": "Write a commented tinyvmi.toml for a kernel.",
    "profile": "Build and show kernel profiles.",
    "config": "Check and show the configuration, print its JSON Schema.",
    "minios": "Fetch and show the tree of Mini-OS that a monitor is built on.",
    "render": "Write the generated C and xl config, say what changed.",
    "build": "Render and cross-build a monitor.",
    "inspect": "Show what is inside a monitor's image.",
    "check": "Check the kernel in a saved memory image.",
    "launch": "Start a monitor on this dom0 and report what it says.",
    "lab": "Run Xen, a target and a monitor in QEMU.",
    "bench": "Measure the monitor beside the same checks done in dom0.",
    "completion": "Print the completion script for a shell.",
    "clean": "Remove what the tool has built.",
}
TRACEBACK = "TINYVMI_TRACEBACK"


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"{__package__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 intact or done, 1 internal error, 2 usage, 3 unverifiable or nothing checked,"
    " 4 environment, 5 tampered, 6 monitor lost, 130 interrupted.",
)
@click.version_option(__version__, prog_name="tinyvmi-build")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr, only results and errors.")
@click.pass_context
def root(ctx: click.Context, quiet: bool) -> None:
    """Build, launch and listen to TinyVMI: monitors that watch a Xen guest's kernel from outside.

    \b
    Examples:
      tinyvmi-build doctor
      tinyvmi-build init --kernel linux-image-6.1.0-42-cloud-amd64.deb
      tinyvmi-build build
      tinyvmi-build launch build/guest --target guest
      tinyvmi-build lab run
    """
    ctx.obj = Progress(quiet=quiet)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup stays as it is
            signal.signal(number, signal.default_int_handler)  # so that temporary files are removed
    status = run(argv)
    if status == Exit.INTERRUPTED:
        _end_now(status)
    sys.exit(status)


def _end_now(status: int) -> NoReturn:
    """End children and this process, whose threads may wait for a child that a signal has ended."""
    if "multiprocessing" in sys.modules:  # else there is none, and importing it takes a while
        from tinyvmi_build.processes import end_children

        end_children()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a reader that went with the same Ctrl-C
            stream.flush()
    os._exit(status)


def run(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        result = root.main(args=argv, prog_name="tinyvmi-build", standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.INTACT
    except TinyVMIError as error:
        return _report(error)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        return _report(_outside(error) or _own_fault(error))


def _outside(error: Exception) -> TinyVMIError | None:
    """What the machine refused, as an error to show; None for a fault of the tool."""
    from concurrent.futures import BrokenExecutor

    if isinstance(error, ImportError):
        return missing_package(error)
    if isinstance(error, MemoryError):
        return MissingEnvironmentError("there is not enough memory", hint="free some, or raise its limit")
    if isinstance(error, BrokenExecutor):
        return MissingEnvironmentError("a worker process was killed", hint="was there enough memory?")
    if isinstance(error, OSError) and error.errno is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return MissingEnvironmentError(
            f"{where}{error.strerror or error}", hint=f"{TRACEBACK}=1 shows what was attempted"
        )
    return None


def _own_fault(error: Exception) -> TinyVMIError:
    return TinyVMIError(
        f"internal error: {type(error).__name__}: {error}",
        hint=f"this is a fault of tinyvmi-build; {TRACEBACK}=1 shows where",
        exit=Exit.INTERNAL,
    )


def _report(error: TinyVMIError) -> int:
    """Print the error, each of several, and return its status."""
    for one in error.all:
        _complain(one.message, one.hint)
    return error.exit


def _complain(message: str, hint: str | None) -> None:
    plain = False if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" else None
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=plain)
    click.echo(printable(message), err=True)
    if hint:
        click.secho("hint: ", fg="yellow", nl=False, err=True, color=plain)
        click.echo(printable(hint), err=True)
