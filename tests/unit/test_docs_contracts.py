"""Tables of docs/reference/ that describe a contract name exactly what the code writes and reads."""

from __future__ import annotations

import json
import re

from tests.support import reference
from tests.support.reference import ROOT, cells
from tinyvmi_build.config.model import Config
from tinyvmi_build.image.build import manifest
from tinyvmi_build.profile import container
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.render.descriptor import descriptor

PAGES = ROOT / "docs" / "reference"


def described(page: str, title: str) -> set[str]:
    """The names in the first column of the table in that section."""
    rows = [
        cells(line)
        for line in reference.section((PAGES / page).read_text("utf-8"), title)
        if line.startswith("|")
    ]
    return {name for row in rows[2:] for name in re.findall(r"`([^`]+)`", row[0])}


def test_the_manifest():
    note = {"base": "built-in", "base_rev": "0"}
    written = json.loads(manifest(Config(), ProfileFile([]), note))
    assert described("files.md", "Manifest") == written.keys() - {"schema", "version"}


def test_the_note_of_an_image():
    written = descriptor(Config(), [], {})
    assert described("files.md", "Image") - {"core"} == written.keys()  # `core`: on a tree alone


def test_the_version_of_profiles():
    assert f"## Container, version {container.VERSION}\n" in (PAGES / "profile.md").read_text("utf-8")


def test_the_parameters_in_xenstore():
    reader = (ROOT / "minios_app/platform/minios/params.c").read_text("utf-8")
    read = set(re.findall(r'(?:read_node|params_number)\("([^"]+)"', reader))
    writer = (ROOT / "tinyvmi_build/xen/launch.py").read_text("utf-8")
    values = re.search(r"values = \{\n(.*?)\n        \}", writer, re.DOTALL)
    assert values is not None
    written = set(re.findall(r'"([a-z-]+)": ', values[1]))
    assert described("launch.md", "xenstore") == read == written


def imports() -> dict[str, set[str]]:
    """Part of the package → the parts that it imports, when it is imported or later."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tinyvmi_build").rglob("*.py"):
        part = path.relative_to(ROOT / "tinyvmi_build").parts[0].removesuffix(".py")
        names = re.findall(r"^\s*from tinyvmi_build\.(\w+)", path.read_text("utf-8"), re.MULTILINE)
        found.setdefault(part, set()).update(set(names) - {part})
    return found


def test_what_architecture_says_of_imports():
    using = imports()
    assert {part for part in using if "cli" in using[part]} == {"__main__"}
    assert {part for part in using if "bench" in using[part]} == {"cli"}
    assert {part for part in using if "lab" in using[part]} == {"bench", "cli"}
    assert using["kernel"] == {"elf", "errors", "files"}
