"""One scan of a memory image by the monitor's own core."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Protocol

from tinyvmi_build.dump.ranges import Image, map_text
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.records.collector import Collector, Expected
from tinyvmi_build.records.events import Event


class Reporter(Protocol):
    """`tinyvmi_build.report` has those that people use."""

    def events(self, events: list[Event], /) -> None: ...


def check_image(image: Image, program: Path, checks: tuple[str, ...], reporter: Reporter) -> Collector:
    """Run the checker `program` over `image` once, reporting as it goes; the collector has the verdict.

    `checks` are those that must report.  MissingEnvironmentError if the checker cannot run at all.
    """
    nonce = secrets.token_hex(8)
    collector = Collector(nonce, Expected(checks=checks))
    with tempfile.TemporaryDirectory(prefix="tinyvmi-check.") as folder:
        map_file, registers = Path(folder) / "map", Path(folder) / "registers"
        map_file.write_text(map_text(image.ranges))
        registers.write_text(image.registers)
        options = ["--map", str(map_file), *(["--registers", str(registers)] if image.registers else [])]
        command = [str(program), *options, str(image.path.resolve()), nonce]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise MissingEnvironmentError(f"{program}: cannot be run: {error.strerror}") from None
        try:
            assert process.stdout is not None
            for line in process.stdout:
                reporter.events(collector.feed(line))
            status = process.wait()
        finally:
            process.kill()  # nothing, if it has ended
            process.wait()
            if process.stdout:
                process.stdout.close()
    if status < 0:
        reporter.events(collector.lost(f"the checker died of signal {-status}"))
    reporter.events(collector.end())
    return collector
