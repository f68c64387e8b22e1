"""Python for the lab's dom0: Debian's own interpreter and the part of its library that is needed, compiled.

Compiling is done by the unpacked interpreter itself, through its own loader,
so the host's Python may be of another version.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError

VERSION = "3.11"  # bookworm's
PACKAGES = [f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib"]
LIBRARY = f"usr/lib/python{VERSION}"

_UNUSED = {
    "test", "idlelib", "tkinter", "turtledemo", "lib2to3", "distutils", "ensurepip", "pydoc_data",
    "unittest", "curses", "dbm", "sqlite3", "wsgiref", "xmlrpc", "venv", "asyncio", "multiprocessing",
    "xml", "html", "http", "lib-dynload", "__phello__", "tomllib", "zoneinfo", "logging", "concurrent",
    "turtle.py", "pydoc.py", "doctest.py", "antigravity.py", "this.py", "_pydecimal.py", "_pyio.py",
    "imaplib.py", "smtplib.py", "smtpd.py", "nntplib.py", "ftplib.py", "telnetlib.py", "poplib.py",
    "mailbox.py", "tarfile.py", "pdb.py", "cgi.py", "cgitb.py", "pickletools.py", "webbrowser.py",
    "_sysconfigdata__linux_x86_64-linux-gnu.py", "_sysconfigdata__x86_64-linux-gnu.py",
}  # fmt: skip
_EXTENSIONS = {
    "_contextvars", "_ctypes", "_json", "_opcode", "_posixsubprocess", "_queue", "_typing", "mmap",
    "resource", "termios",
}  # fmt: skip


def extensions(root: Path) -> list[Path]:
    """The extension modules that dom0 gets, among the packages unpacked at `root`."""
    files = sorted((root / LIBRARY / "lib-dynload").glob("*.so"))
    return [path for path in files if path.name.partition(".")[0] in _EXTENSIONS]


def library(root: Path, into: Path) -> None:
    """Copy the needed part of the library to `into` and compile it; sources are left out."""
    source = root / LIBRARY
    shutil.copytree(source, into, ignore=lambda at, names: _UNUSED & set(names) if Path(at) == source else ())
    for folder in list(into.glob("**/test*")):
        if folder.is_dir():
            shutil.rmtree(folder)
    compile_tree(root, into)


def compile_tree(root: Path, tree: Path) -> None:
    """Replace each `.py` under `tree` by a `.pyc` that the interpreter in `root` imports in its stead."""
    folders = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]  # one of them since trixie
    loader = next(p for f in folders if (p := f / "ld-linux-x86-64.so.2").exists())
    libraries = ":".join(map(str, folders))
    command = [
        *(str(loader), "--library-path", libraries, str(root / f"usr/bin/python{VERSION}")),
        *("-S", "-m", "compileall", "-q", "-b", "-f", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(tree), "-p", "/", str(tree)),
    ]
    environment = {"PYTHONHOME": str(root / "usr"), "LC_ALL": "C.UTF-8"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stdout + result.stderr).strip()[-500:]
        raise MissingEnvironmentError(f"Debian's Python {VERSION} cannot compile {tree}: {said}")
    for path in tree.rglob("*.py"):
        path.unlink()
