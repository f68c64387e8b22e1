"""The decoder of instruction lengths against objdump, over a whole program."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyvmi_build.checks.lib.insn import decode

_LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(.*)$")


@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump (binutils) is not installed")
def test_agrees_with_objdump() -> None:
    program = Path("/bin/bash") if Path("/bin/bash").exists() else Path("/bin/sh")
    listing = subprocess.run(
        ["objdump", "-d", "-w", "-j", ".text", str(program)], capture_output=True, text=True, check=True
    ).stdout
    seen = 0
    for line in listing.splitlines():
        match = _LINE.match(line)
        if not match or "(bad)" in match[3]:
            continue
        code = bytes.fromhex(match[2])
        insn = decode(code + bytes(16))
        assert insn and insn.length == len(code), line
        seen += 1
    assert seen > 1000
