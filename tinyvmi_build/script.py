"""Run a module of this package as a program: `python3 -m tinyvmi_build.…`, as the lab does in dom0."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from tinyvmi_build.errors import Exit, TinyVMIError


def run_script(main: Callable[[list[str]], int], usage: str | None = None) -> NoReturn:
    """Exit with what `main` returns for the command line; an error is one line and its documented status.

    With `usage`, a ValueError is wrong usage, and that text is printed, too.
    """
    try:
        status = main(sys.argv[1:])
    except TinyVMIError as error:
        print(f"error: {error.message}", file=sys.stderr)
        status = error.exit
    except ValueError as error:
        if usage is None:
            raise
        print(f"error: {error}\n{usage}", file=sys.stderr)
        status = Exit.USAGE
    sys.exit(status)
