"""What circumstances need inside the guest: words for their scripts, and programs."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.libraries import closure
from tinyvmi_build.lab.machine.packages import fetch_packages, unpack
from tinyvmi_build.paths import cache_dir

ITS = "indirect_target_selection"
_SAID = re.compile(r"TINYVMI-CIRCUMSTANCE (yes|no): (.*)")
#: Words for scripts: `no` ends one, because the circumstance cannot come about in this kernel.
PRELUDE = r"""
T=/sys/kernel/tracing
yes() { echo "TINYVMI-CIRCUMSTANCE yes: $*"; }
no() { echo "TINYVMI-CIRCUMSTANCE no: $*"; exit 0; }
shows() {
    [ -e "$1" ] || no "there is no $1"
    line=$(grep -m 1 -- "$2" "$1") || no "${1##*/} says: $(head -n 1 "$1" | cut -c 1-120)"
    yes "${1##*/} says: $(echo "$line" | cut -c 1-120)"
}
flag() { grep -qw "$1" /proc/cpuinfo || no "the processor has no $1"; yes "the processor has $1"; }
is() { [ "$1" = "$2" ] || no "it is '$2'"; yes "it is '$2'"; }
tracefs() { grep -q " $T " /proc/mounts || mount -t tracefs t $T || no "no tracefs"; }
export PATH=/bin:/usr/sbin
"""
_NFT_PACKAGES = [
    "nftables", "libnftables1", "libedit2", "libc6", "libgmp10", "libjansson4", "libmnl0", "libnftnl11",
    "libxtables12", "libbsd0", "libmd0", "libtinfo6",
]  # fmt: skip


def bug(name: str, pattern: str) -> str:
    """A line of a script: the kernel says `pattern` (grep's) of the processor's bug `name`."""
    return f"shows /sys/devices/system/cpu/vulnerabilities/{name} '{pattern}'\n"


def traced(tracer: str) -> str:
    """Lines of a script: `tracer` is on."""
    return f"\ntracefs\nshows $T/current_tracer '^{tracer}$'\n"


def said(console: str) -> tuple[bool, list[str]]:
    """Whether the circumstance holds by what the guest said on its console, and what that was."""
    lines = _SAID.findall(console)
    refused = [what for word, what in lines if word == "no"]
    return not refused, refused or [what for _, what in lines]


def tools(names: tuple[str, ...]) -> dict[str, bytes | Path]:
    """Path in the guest → file of the programs `names` with all that they need."""
    found: dict[str, bytes | Path] = {}
    for name in names:
        found |= _TOOLS[name]()
    return found


@cache
def _nft() -> dict[str, Path]:
    """Debian's nft with its libraries."""
    debs = fetch_packages(_NFT_PACKAGES)
    root = unpack(list(debs.values()), cache_dir("unpacked") / "nft")
    program = root / "usr/sbin/nft"
    files = {"usr/sbin/nft": program}
    for soname, path in closure(root, [program]).items():
        folder = "lib64" if soname.startswith("ld-linux") else "usr/lib/x86_64-linux-gnu"
        files[f"{folder}/{soname}"] = path
    return files


@cache
def _bpf() -> dict[str, bytes]:
    """Our own loader of two BPF programs, static."""
    source = Path(__file__).with_name("guest_bpf.c")
    program = cache_dir("guest") / "bpf"
    done = subprocess.run(
        ["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", str(program), str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise MissingEnvironmentError(f"{source.name} cannot be compiled: {done.stderr.strip()}")
    return {"bin/bpf": program.read_bytes()}


_TOOLS = {"nft": _nft, "bpf": _bpf}
