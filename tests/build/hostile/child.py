"""Runs command lines one after the other under limits; a JSON line for each with what came out."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import sys
import time
from pathlib import Path

from tinyvmi_build.cli.main import run

ADDRESSES_MAX = 3 << 30  # bytes
SECONDS_MAX = 60


def peak_kib() -> int:
    """The most memory that this program has had: what its parent had when it forked does not count."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_MAX, ADDRESSES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(sys.argv[1])
    for words in json.load(sys.stdin):
        out, err = io.StringIO(), io.StringIO()
        faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)
        start = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(words)
        faulthandler.cancel_dump_traceback_later()
        result = {
            "words": words,
            "status": int(status),
            "out": out.getvalue(),
            "err": err.getvalue(),
            "seconds": time.monotonic() - start,
            "rss_kib": peak_kib(),
        }
        print(json.dumps(result), flush=True)


main()
