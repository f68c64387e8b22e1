"""`python -m tests.unit.dump.volatility IMAGE SYMBOLS CACHE`: Volatility 3's view of an image, as JSON.

One process for all plugins: finding the kernel takes longer than most of them.
`{plugin: rows}`; a plugin that fails has what it raised, as text, in the place of its rows.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

PLUGINS = {
    "pslist": ("volatility3.plugins.linux.pslist", "PsList"),
    "lsmod": ("volatility3.plugins.linux.lsmod", "Lsmod"),
    "check_idt": ("volatility3.plugins.linux.malware.check_idt", "Check_idt"),
    "kallsyms": ("volatility3.plugins.linux.kallsyms", "Kallsyms"),
}


def read(image: Path, symbols: Path, cache: Path) -> dict[str, list[list[Any]] | str]:
    """Plugin → its rows, or its failure; values that JSON does not have become text."""
    import volatility3.plugins
    import volatility3.symbols
    from volatility3.framework import automagic, constants, contexts, import_files
    from volatility3.framework import plugins as framework_plugins

    cache = cache.resolve()
    constants.CACHE_PATH = str(cache)
    constants.IDENTIFIERS_PATH = str(cache / "identifier.cache")
    constants.OFFLINE = True
    volatility3.symbols.__path__ = [str(symbols.resolve())]
    import_files(volatility3.plugins, True)
    context = contexts.Context()
    context.config["automagic.LayerStacker.single_location"] = image.resolve().as_uri()
    automagics = automagic.available(context)
    found: dict[str, list[list[Any]] | str] = {}
    kernel = None
    for name, (module, class_name) in PLUGINS.items():
        plugin_class = getattr(importlib.import_module(module), class_name)
        path = f"plugins.{class_name}"
        if kernel is None:
            chosen = automagic.choose_automagic(automagics, plugin_class)
            framework_plugins.construct_plugin(context, chosen, plugin_class, "plugins", None, None)
            kernel = context.config[f"{path}.kernel"]
        context.config[f"{path}.kernel"] = kernel
        if name == "kallsyms":
            context.config[f"{path}.core"] = True
        found[name] = _rows(plugin_class(context, path))
    return found


def _rows(plugin: Any) -> list[list[Any]] | str:
    rows: list[list[Any]] = []
    try:
        plugin.run().populate(lambda node, rows: rows.append(list(node.values)) or rows, rows)
    except Exception as error:  # whatever a plugin trips over in a kernel that it does not know
        return f"{type(error).__name__}: {error}"
    return [[_plain(value) for value in row] for row in rows]


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else str(value)


if __name__ == "__main__":
    json.dump(read(*map(Path, sys.argv[1:])), sys.stdout)
