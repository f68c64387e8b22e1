"""Children of a pool end when they are told to, whatever they are doing."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from tinyvmi_build.timeouts import timeout

# Results that fill the pipe to the parent many times: a worker is nearly always in the middle of one.
BUSY = """
import multiprocessing, signal, sys
from concurrent.futures import ProcessPoolExecutor
from tinyvmi_build.cli import main
from tinyvmi_build.processes import begin_child

def work(number):
    return bytes(4 << 20)

def run(argv):
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"), initializer=begin_child)
    print("ready", flush=True)
    try:
        for number in range(10_000):
            pool.submit(work, number).result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        return 130

main.run = run
signal.signal(signal.SIGINT, signal.default_int_handler)  # which the tests may have been started without
main.main()
"""

WRITING = """
import pathlib, sys, time
from tinyvmi_build.files import write_file
from tinyvmi_build.processes import begin_child

def parts():
    yield b"half"
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass  # as a pool does with what its task raises

begin_child()
write_file(pathlib.Path(sys.argv[1]), parts())
"""


def ended(script: str, *words: str, number: int, after: float = 0) -> int:
    with subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(after)
            os.killpg(process.pid, number)
            return process.wait(timeout(30))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.05, 0.2, 0.3])
def test_a_signal_to_all_ends_a_busy_pool(number: int, after: float) -> None:
    assert ended(BUSY, number=number, after=after) == 130


def test_a_child_leaves_no_half_written_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert ended(WRITING, str(tmp_path / "out"), number=signal.SIGTERM) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
