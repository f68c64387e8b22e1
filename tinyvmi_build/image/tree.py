"""Build the monitor on a tree of the Xen Project's Mini-OS: copy it, and have its own make link our object.

docs/guide/minios-tree.md lists what this relies on in that tree's makefiles.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from tinyvmi_build.elf.reader import Elf, Symbol, elf_errors
from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.image.meson import Compiled, Tree, compile_target
from tinyvmi_build.image.tool import run_tool
from tinyvmi_build.minios.source import Source
from tinyvmi_build.paths import doc
from tinyvmi_build.render.tree import write

APP_TARGET = "tree/monitor.o"
_STAMP = "tree.json"
_MAKE_VARIABLES = {"MINIOS_TARGET_ARCH": "x86_64", "XEN_ROOT": "", "XEN_TARGET_ARCH": "", "stubdom": ""}
# The variables that make is given: any other could change what it does.
_PASSED = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
_INCLUDES = ("include", "include/x86", "include/x86/x86_64")  # as the tree's own Config.mk has them


def build_on_tree(source: Source, folder: Path, kernels: Sequence[str]) -> Compiled:
    """Build the monitor of `kernels` that was rendered in `folder` on `source`; the image, with symbols.

    Leaves in `folder`/minios the copy of the tree (`src`) and what was made of it (`obj`).
    """
    directory = folder / "minios"
    if re.search(r"[\s:#$%*?'\"\\]", str(folder)):
        raise UsageError(f"{folder}: make cannot work in a folder of this name", hint="use a plain path")
    if shutil.which("make") is None:
        raise MissingEnvironmentError("minios.tree needs make", hint="apt-get install make")
    src, obj = _copied(source, directory), directory / "obj"
    config = folder / "generated" / "minios.mk"
    _make(src, ["links"], config)
    app = compile_target(
        APP_TARGET,
        folder=folder / "meson",
        generated=folder / "generated",
        cross=True,
        kernels=kernels,
        tree=Tree(_flags(src, directory, config), source.rev),
    )
    for path in src.rglob("*.[cS]"):
        (obj / path.relative_to(src)).parent.mkdir(parents=True, exist_ok=True)
    names = " -G ".join(_shared_names(app.path))
    _make(
        src,
        [
            f"-j{os.cpu_count() or 1}",
            f"OBJ_DIR={obj}",
            f"APP_OBJS={app.path}",
            # `objcopy -w -G $(GLOBAL_PREFIX)*` decides which names stay visible when the tree hides its own.
            f"GLOBAL_PREFIX={names}",
        ],
        config,
    )
    linked = next((p for p in (obj / "mini-os-debug", obj / "mini-os") if p.is_file()), None)
    if linked is None:
        raise MissingEnvironmentError(
            f"{src}: its make leaves no mini-os", hint=f"{doc('guide/minios-tree.md')} says what is needed"
        )
    _require_one_app_main(linked)
    image = directory / "image.elf"
    run_tool(
        ["objcopy", "--strip-debug", "--remove-section=.comment", str(linked), str(image)],
        "the image cannot be stripped of its debug sections",
    )
    return Compiled(image, app.objects)


def _copied(source: Source, directory: Path) -> Path:
    """The copy of the tree, made anew if it is of another commit or was left half done."""
    stamp, src = directory / _STAMP, directory / "src"
    wanted = json.dumps({"rev": source.rev})
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        source.copy_to(src)
        stamp.write_text(wanted)
    return src


def _flags(src: Path, directory: Path, config: Path) -> Path:
    """The file with the flags of a program on this tree; `make config` writes the definitions."""
    listed = directory / "definitions"
    _make(src, ["config", f"CONFIG_FILE={listed}"], config)
    definitions = [word for word in shlex.split(listed.read_text()) if word.startswith("-D")]
    includes = [word for name in _INCLUDES for word in ("-isystem", str(src / name))]
    flags = [*includes, "-D__MINIOS__", *definitions, f"-ffile-prefix-map={src}=minios"]
    write(directory / "flags.txt", "\n".join(flags) + "\n")
    return directory / "flags.txt"


def _shared_names(app: Path) -> list[str]:
    """The names by which our object and the tree are linked: those it defines and those it uses."""
    names = {s.name for s in _symbols(app) if s.name and not s.local}
    return sorted(names | {"_start"})


def _require_one_app_main(image: Path) -> None:
    """Refuse a tree that still has its own app_main: it would start that one, and watch nothing."""
    found = [symbol for symbol in _symbols(image) if symbol.name == "app_main"]
    if len(found) != 1:
        raise MissingEnvironmentError(
            f"{image}: {len(found)} functions app_main, so this tree would not start the monitor",
            hint=f"{doc('guide/minios-tree.md')} says what a tree must offer",
        )


def _symbols(path: Path) -> list[Symbol]:
    with elf_errors(str(path), "object file"):
        return Elf(path.read_bytes()).symbols


def _make(src: Path, arguments: list[str], config: Path) -> None:
    variables = [
        f"{name}={value}" for name, value in (_MAKE_VARIABLES | {"MINIOS_CONFIG": str(config)}).items()
    ]
    command = ["make", "-C", str(src), *arguments, *variables]
    run_tool(
        command,
        "this tree of Mini-OS does not build",
        env={name: os.environ[name] for name in _PASSED if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"},
        hint=f"{doc('guide/minios-tree.md')} says which trees do, and with which compilers",
    )
