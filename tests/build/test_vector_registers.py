"""Where an image uses vector registers: only in the digests made for them; nothing else spoils them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.progress import Progress
from tinyvmi_build.render.digest import VECTOR_VARIANTS

_LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$", re.MULTILINE)
_VECTOR = re.compile(r"%([xyz]mm\d|mm\d|st\b)")


def vector_code(image: Path) -> list[range]:
    """The functions of the files that are compiled for vector registers."""
    names = [f"{digest}_{variant}" for digest, variants in VECTOR_VARIANTS.items() for variant in variants]
    files = {f"{name}.c" for name in names}
    entries = {f"tv_{name}" for name in names}
    found, file = [], ""
    with image.open("rb") as stream:
        for symbol in ELFFile(stream).get_section_by_name(".symtab").iter_symbols():
            if symbol["st_info"]["type"] == "STT_FILE":
                file = Path(symbol.name).name
            if symbol["st_info"]["type"] != "STT_FUNC":
                continue
            if symbol.name in entries if symbol["st_info"]["bind"] == "STB_GLOBAL" else file in files:
                found.append(range(symbol["st_value"], symbol["st_value"] + symbol["st_size"]))
    return found


def uses(image: Path) -> list[tuple[int, str]]:
    """(address, instruction) of each use of a vector register."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(image)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(int(line[1], 16), line[2]) for line in _LINE.finditer(text) if _VECTOR.search(line[2])]


@pytest.mark.parametrize("digest", VECTOR_VARIANTS)
def test_only_digests_use_vector_registers(project, digest: str) -> None:
    image = build_monitor(project(digest, f'[golden]\nhash = "{digest}"\n'), Progress(quiet=True)).elf
    allowed = vector_code(image)
    found = uses(image)
    assert [use for use in found if not any(use[0] in code for code in allowed)] == []
    # Every variant is in the image, and is found.
    entries = [f"tv_{digest}_{variant}" for variant in VECTOR_VARIANTS[digest]]
    symbols = subprocess.run(["nm", str(image)], check=True, capture_output=True, text=True).stdout
    assert all(f" T {name}\n" in symbols for name in entries)
    for code in allowed:
        if len(code) > 256:
            assert any(address in code for address, _ in found)
    assert len(allowed) >= len(entries)
