"""A commented tinyvmi.toml: what `init` writes, made from the keys themselves."""

from __future__ import annotations

import textwrap
from typing import Any

from tinyvmi_build.config.model import sections
from tinyvmi_build.config.schema import SCHEMA_FILE


def commented(values: dict[tuple[str, ...], Any]) -> str:
    """TOML text that sets `values` (raw, by key path); every other key is a comment with its default."""
    lines = [
        f"#:schema ./{SCHEMA_FILE}",
        "# What TinyVMI is to watch, and how.  `tinyvmi-build config show --origin` shows what is in force.",
    ]
    for path, section in sections().items():
        # A check's own table excludes the plain switch above it: a comment while nothing is set in it.
        used = not path[:-1] or any(key[:-1] == path for key in values)
        header = f"{'' if used else '# '}[{'.'.join(path)}]"
        lines += ["", *_comment(section.doc), header]
        for key in section.keys:
            lines += _comment(key.doc)
            if key.path in values:
                lines.append(f"{key.path[-1]} = {key.kind.show(values[key.path])}")
            else:
                lines.append(f"# {key.path[-1]} = {_example(key.default, key.kind)}")
    return "\n".join(lines) + "\n"


def _example(default: Any, kind: Any) -> str:
    return '["…"]' if default is None and kind.schema()["type"] == "array" else kind.show(default)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")
