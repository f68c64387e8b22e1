"""The registry finds every check, from source and from compiled files alone, as the lab's dom0 has them."""

from __future__ import annotations

import ast
import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import tinyvmi_build
from tinyvmi_build.checks import registry

PACKAGE = Path(tinyvmi_build.__file__).parent
COMMAND = "from tinyvmi_build.checks import registry; print(*registry.names())"


def test_every_folder_with_a_declaration_is_a_check():
    folders = {path.parent.name for path in (PACKAGE / "checks").glob("*/check.py")}
    assert folders == {check.identifier for check in registry.checks()}


def test_compiled_files_are_enough(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "tinyvmi_build", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(tmp_path, legacy=True, quiet=1)
    for source in tmp_path.rglob("*.py"):
        source.unlink()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert tuple(done.stdout.split()) == registry.names()


def named(source: Path) -> set[str]:
    """The checks that a file of Python imports a part of, or has the name of as a text."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "tinyvmi_build.checks":
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [module.split(".") for module in modules]
        found |= {part[2] for part in parts if part[:2] == ["tinyvmi_build", "checks"] and len(part) > 2}
        if isinstance(node, ast.Constant) and node.value in registry.names():
            found.add(node.value.replace("-", "_"))
    return found & {check.identifier for check in registry.checks()}


#: Words of other things, too.
AMBIGUOUS = {"text", "modules", "registers"}


def test_nothing_else_names_a_check():
    """A new check edits no file: all others go through the registry."""
    for source in sorted(PACKAGE.rglob("*.py")):
        if PACKAGE / "checks" in source.parents:
            continue
        imported = {name for name in named(source) if f"tinyvmi_build.checks.{name}" in source.read_text()}
        assert not imported | (named(source) - AMBIGUOUS), source.relative_to(PACKAGE)


def test_a_name_is_found(tmp_path):
    for text in ("from tinyvmi_build.checks.text.golden import x", 'X = "ro-after-init"'):
        (tmp_path / "x.py").write_text(text)
        assert named(tmp_path / "x.py")
    (tmp_path / "x.py").write_text('"""Docs of idt."""\nfrom tinyvmi_build.checks import registry\n')
    assert not named(tmp_path / "x.py")
