"""The declarations of docs/guide/minios-tree.md: headers to compile against, claims about real headers."""

from __future__ import annotations

import re
from pathlib import Path

from tests.build.conftest import ROOT

DOCUMENT = ROOT / "docs" / "guide" / "minios-tree.md"
_PRELUDE = "#include <stddef.h>\n#include <stdint.h>\n#include <xen/xen.h>\n#include <xen/sched.h>\n"
_FUNCTION = re.compile(r"(?P<type>[\w ]+[ *])(?P<name>\w+)\((?P<parameters>.*)\);")


def declarations(text: str | None = None) -> dict[str, list[str]]:
    """Header → the lines that the document has for it."""
    block = re.search(r"```c\n(.*?)```", text or DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in block[1].splitlines():
        header = re.fullmatch(r"/\* <(mini-os/\w+\.h)> \*/", line)
        if header:
            lines = found.setdefault(header[1], [])
        elif line:
            lines.append(line)
    return found


def names() -> set[str]:
    """Every function and object that is declared."""
    lines = [
        line for found in declarations().values() for line in found if not line.startswith(("#", "typedef"))
    ]
    return {re.split(r"[(;]", line)[0].split()[-1].lstrip("*") for line in lines}


def write_headers(folder: Path) -> None:
    """A <mini-os/…> that declares what the document does and nothing else."""
    for header, lines in declarations().items():
        path = folder / header
        path.parent.mkdir(parents=True, exist_ok=True)
        # mm.h and others lean on nothing but Xen's types, as the lines themselves do.
        path.write_text("#pragma once\n" + _PRELUDE + "struct consfront_dev;\n" + "\n".join(lines) + "\n")


def claims(header: str, lines: list[str]) -> str:
    """C that compiles if the header declares what the document says, with the same types."""
    text = [f"#include <mini-os/os.h>\n#include <{header}>\n#include <xen/sched.h>"]
    for line in lines:
        if line.startswith("#define"):
            _, name, value = line.split()
            text.append(f"_Static_assert({name} == {value}, {name!r});".replace("'", '"'))
        elif line.startswith("typedef"):
            kind, name = line.removeprefix("typedef ").rstrip(";").rsplit(" ", 1)
            text.append(_same(name, kind))
        elif line.startswith("extern"):
            kind, name = line.removeprefix("extern ").rstrip(";").rsplit(" ", 1)
            text.append(_same(f"__typeof__({name})", kind))
        elif line.endswith("/* macro */"):
            match = _FUNCTION.match(line)
            assert match is not None, line
            arguments = [p.split()[-1].lstrip("*") for p in match["parameters"].split(",") if p != "void"]
            name = match["name"]
            text.append(
                f"{match['type']}use_{name}({match['parameters']});\n"
                f"{match['type']}use_{name}({match['parameters']})"
                f" {{ return {name}({', '.join(arguments) if arguments else ''}); }}"
            )
        else:
            match = _FUNCTION.fullmatch(line)
            assert match is not None, line
            text.append(f"{match['type']}claim_{match['name']}({match['parameters']});")
            text.append(_same(f"__typeof__({match['name']})", f"__typeof__(claim_{match['name']})"))
    return "\n".join(text) + "\n"


def _same(left: str, right: str) -> str:
    return f'_Static_assert(__builtin_types_compatible_p({left}, {right}), "{left}");'
