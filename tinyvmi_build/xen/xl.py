"""`xl` and the domains it manages; and whether this machine is a dom0 at all."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.safe_text import safe

CAPABILITIES = Path("/proc/xen/capabilities")
# Where distributions keep the tools when they are not on the PATH of the caller.
_TOOL_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/lib/xen-*/bin", "/usr/local/lib/xen/bin")


@dataclass(frozen=True)
class Domain:
    """One line of `xl list`.  `state` has the letters of r, b, p, s, c, d that apply (see xl(1))."""

    name: str
    domid: int
    memory_mib: int
    state: str

    @property
    def crashed(self) -> bool:
        return "c" in self.state

    @property
    def gone(self) -> bool:
        """It does not run any more and will not again (shut down or dying)."""
        return bool(set("sd") & set(self.state))


def require_dom0() -> None:
    """MissingEnvironmentError, naming what is missing, unless this is a control domain with the xl tools."""
    try:
        capabilities = CAPABILITIES.read_text()
    except OSError:
        if not Path("/sys/hypervisor/type").exists():
            raise MissingEnvironmentError(
                "this machine does not run under Xen",
                hint="run launch on the Xen host's dom0; `tinyvmi-build lab run` needs no Xen",
            ) from None
        raise MissingEnvironmentError(
            f"{CAPABILITIES} is missing, Xen's control interface cannot be seen",
            hint="in dom0: modprobe xenfs; mount -t xenfs xenfs /proc/xen",
        ) from None
    if "control_d" not in capabilities:
        raise MissingEnvironmentError(
            "this is a guest of Xen, not its control domain", hint="run launch in dom0, as root"
        )
    if os.geteuid() != 0:
        raise MissingEnvironmentError("only root may manage domains", hint="run launch as root in dom0")
    find_tool("xl")


def find_tool(name: str) -> str:
    """Path of one of Xen's tools, or MissingEnvironmentError."""
    found = shutil.which(name)
    if found:
        return found
    for folder in _TOOL_FOLDERS:
        for path in sorted(Path("/").glob(f"{folder[1:]}/{name}")):
            if os.access(path, os.X_OK):
                return str(path)
    raise MissingEnvironmentError(
        f"Xen's tool '{name}' is missing", hint="in dom0: apt-get install xen-utils"
    )


def xl(*arguments: str, cwd: Path | None = None, seconds: float = 120) -> str:
    """Run `xl arguments…` → its standard output; MissingEnvironmentError with xl's own words if it fails."""
    argv = [find_tool("xl"), *arguments]
    try:
        result = subprocess.run(
            argv,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            start_new_session=True,  # Ctrl-C is for launch alone, which ends xl's domains in order
        )
    except subprocess.TimeoutExpired:
        raise MissingEnvironmentError(
            f"`{shlex.join(argv)}` did not end in {seconds:g} s",
            hint="do xenstored and xenconsoled run? `xl list` should answer at once",
        ) from None
    if result.returncode:
        said = safe(_gist(result.stderr or result.stdout))
        raise MissingEnvironmentError(f"`{shlex.join(argv)}` failed: {said}")
    return result.stdout


def find_domain(name_or_id: str, among: Iterable[Domain] | None = None) -> Domain | None:
    """The domain of that name or number `among` those given or all there are; None if there is none.

    While one ends, its successor may have the same name: one that runs is preferred, then the younger.
    """
    found = [d for d in (domains() if among is None else among) if name_or_id in (d.name, str(d.domid))]
    return max(found, key=lambda d: (not d.gone, d.domid), default=None)


def domains() -> list[Domain]:
    """All domains."""
    return parse_list(xl("list"))


def parse_list(text: str) -> list[Domain]:
    """The output of `xl list`."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+([a-z-]{6})\s+[\d.]+\s*", line)
        if match:
            found.append(Domain(match[1], int(match[2]), int(match[3]), match[5].replace("-", "")))
    return found


def create_paused(config: Path) -> None:
    """`xl create -p`, in the config's folder: its `kernel` is relative to that."""
    xl("create", "-p", config.name, cwd=config.parent)


def unpause(domid: int) -> None:
    xl("unpause", str(domid))


def destroy(domid: int) -> None:
    """Destroy a domain; no matter if it is gone already."""
    try:
        xl("destroy", str(domid))
    except MissingEnvironmentError:
        if find_domain(str(domid)) is not None:
            raise


def config_name(config: Path) -> str | None:
    """The domain's name in an xl config."""
    match = re.search(r"""^\s*name\s*=\s*["']([^"']+)["']""", config.read_text(), re.MULTILINE)
    return match[1] if match else None


def _gist(text: str) -> str:
    """xl's messages without its file:line prefixes, the first few."""
    lines = [
        re.sub(r"^(libxl|xl|xc|libxl_\w+): (\w+: )?([\w/.-]+:\d+:)?(\w+: )?(Domain \d+:)?", "", line).strip()
        for line in text.splitlines()
    ]
    return "; ".join(list(dict.fromkeys(filter(None, lines)))[:4]) or "it said nothing"
