"""What can be configured.  These classes are the definition: loader, JSON Schema and `init` follow them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyvmi_build.config.kinds import (
    BUILT_IN,
    Bool,
    Choice,
    Duration,
    FilePath,
    FilePaths,
    GitTree,
    Int,
    Kind,
    Strings,
    Text,
    Tree,
)

NAME = Text(r"[a-z0-9][a-z0-9-]{0,30}", "1 to 31 lower-case letters, digits and dashes")


def _key(kind: Kind, default: Any, doc: str) -> Any:
    return field(default=default, metadata={"kind": kind, "doc": doc})


@dataclass(frozen=True)
class Monitor:
    """The monitor's own domain and its rhythm."""

    name: str = _key(NAME, "guest", "Names the build folder, the image and the domain tinyvmi-NAME.")
    memory: int = _key(Int(8, 1024, "MiB"), 32, "Memory of the monitor's domain, MiB.")
    period: int = _key(
        Duration(10, 86_400_000), 60_000, "From the start of one scan of everything to the next."
    )
    poll: int = _key(
        Duration(0, 60_000),
        100,
        "From one incremental check to the next, between scans: of what the target has written, "
        "and of whatever costs little. 0ms: none.",
    )
    time_budget: int = _key(
        Int(0, 1_000_000, "microseconds"),
        0,
        "How long a scan may work before it yields the processor, "
        "so that it is spread over half a period; 0: it does not yield.",
    )
    jitter: int = _key(
        Int(0, 50, "percent"),
        10,
        "Each period varies by up to this many percent, so that it cannot be foreseen.",
    )
    heartbeat: int = _key(
        Duration(100, 3_600_000), 5000, "The monitor says at least this often that it lives."
    )


@dataclass(frozen=True)
class Target:
    """The guest that is watched."""

    domain: str = _key(
        Text(r"[A-Za-z0-9_+:@./-]{0,128}", "a domain's name or number, in quotes"),
        "",
        "Its name or domid; may be left to `launch --target`.",
    )


@dataclass(frozen=True)
class Kernel:
    """The kernels that the guest may run."""

    packages: tuple[Path, ...] = _key(
        FilePaths(), (), "Packages (.deb), vmlinuz files or folders, relative to this file."
    )
    modules: tuple[Path, ...] = _key(
        FilePaths(), (), "More modules: .ko files, packages, or folders of such; all of them are verified."
    )
    profile: Path | None = _key(FilePath(), None, "Or a profile that `profile build` has made of them.")


@dataclass(frozen=True)
class Checks:
    """What is compared, in this order: what is soon judged is soon told.  Each can be switched off."""

    identity: bool = _key(Bool(), True, "The kernel's build-id and banner.")
    syscall_table: bool = _key(Bool(), True, "Every entry of the system call tables.")
    idt: bool = _key(Bool(), True, "Every gate of the interrupt descriptor table.")
    policy_globals: bool = _key(Bool(), True, "Strings that decide which program the kernel starts as root.")
    function_pointers: bool = _key(Bool(), True, "Every static pointer to a function, or to a table of them.")
    page_tables: bool = _key(Bool(), True, "That every task sees the same kernel: the roots of page tables.")
    registers: bool = _key(
        Bool(),
        True,
        "Entry points and protection in every processor's registers; with privilege.vcpu_context.",
    )
    ro_after_init: bool = _key(Bool(), True, "What the kernel writes at boot and never again.")
    rodata: bool = _key(Bool(), True, "Every page of the kernel's read-only data, by digest.")
    text: bool = _key(Bool(), True, "Every byte of the kernel's code, patched places included.")
    modules: bool = _key(Bool(), True, "Every byte of the code and read-only data of loaded modules.")

    @property
    def enabled(self) -> tuple[str, ...]:
        """The names of the checks that are on, in their own order."""
        return tuple(key_name(f.name) for f in dataclasses.fields(self) if getattr(self, f.name))


@dataclass(frozen=True)
class Golden:
    """How the target's pages are compared with the package's."""

    comparison: str = _key(
        Choice(("bytes", "digest")),
        "bytes",
        "`bytes`: a page whose digest was right is kept, and compared from then on, for as much memory "
        "as the kernel's code and constants take. `digest`: each is digested in each scan: a smaller domain.",
    )
    hash: str = _key(
        Choice(("blake3", "sha256")),
        "blake3",
        "What pages are digested by. Both are as secure; BLAKE3 is the faster one.",
    )


_POLICY = Choice(("finding", "allow"))


@dataclass(frozen=True)
class TextPolicy:
    """What administrators may put into the kernel's code: a finding, or allowed and told as a notice."""

    kprobes: str = _key(
        _POLICY, "finding", "Kprobes in the kernel's own table, with handlers in its own code."
    )
    bpf: str = _key(
        _POLICY,
        "finding",
        "Calls of code that the kernel made of BPF programs; that code cannot be verified.",
    )
    livepatch: str = _key(_POLICY, "finding", "Functions that livepatch replaces.")


@dataclass(frozen=True)
class PolicyGlobals:
    """Values that may stand there; without any, the one compiled into the kernel."""

    modprobe_path: tuple[str, ...] | None = _key(Strings(256), None, "What runs to load a module.")
    core_pattern: tuple[str, ...] | None = _key(
        Strings(128), None, "Where core dumps go, or to which program."
    )


@dataclass(frozen=True)
class Modules:
    """Which modules can be verified, and what becomes of others."""

    include: tuple[str, ...] = _key(
        Strings(128),
        ("@common",),
        "Names or patterns; what they depend on comes by itself. `@common`: what guests usually load.",
    )
    unknown: str = _key(
        Choice(("unverifiable", "tampered")),
        "unverifiable",
        "Of a loaded module that is none of them: the verdict, with its name.",
    )


@dataclass(frozen=True)
class MiniOS:
    """The Mini-OS underneath."""

    tree: str | Path | GitTree = _key(
        Tree(),
        BUILT_IN,
        '"built-in", or a tree of the Xen Project\'s: its folder, or { git = "URL", rev = "COMMIT" }.',
    )


@dataclass(frozen=True)
class Privilege:
    """How the monitor gets at its target's memory."""

    mode: str = _key(
        Choice(("target", "flask")),
        "target",
        "`target`: XEN_DOMCTL_set_target, on any stock Xen. `flask`: a policy for a Xen with XSM.",
    )
    domain_info: bool = _key(
        Bool(), False, "In FLASK mode: the monitor may ask Xen for its target's size and state."
    )
    vcpu_context: bool = _key(
        Bool(), False, "In FLASK mode: it may read registers, which the check `registers` needs."
    )
    pause: bool = _key(Bool(), False, "In FLASK mode: it may pause its target and let it run again.")


@dataclass(frozen=True)
class Config:
    """All of it.  Durations are milliseconds, memory is MiB, paths lead from their file's folder."""

    monitor: Monitor = Monitor()
    target: Target = Target()
    kernel: Kernel = Kernel()
    checks: Checks = Checks()
    policy_globals: PolicyGlobals = field(
        default=PolicyGlobals(), metadata={"path": ("checks", "policy-globals")}
    )
    text_policy: TextPolicy = field(default=TextPolicy(), metadata={"path": ("checks", "text")})
    modules: Modules = field(default=Modules(), metadata={"path": ("checks", "modules")})
    golden: Golden = Golden()
    minios: MiniOS = MiniOS()
    privilege: Privilege = Privilege()

    @property
    def checks_made(self) -> tuple[str, ...]:
        """The names of the checks that the image makes: those that are on and have what they need."""
        without = () if self.privilege.vcpu_context else ("registers",)
        return tuple(name for name in self.checks.enabled if name not in without)

    def digest(self) -> str:
        """SHA-256 (hex) of everything but places: build-ids stand for kernels, `base_rev` for a tree."""
        values = {
            key.dotted: getattr(getattr(self, key.section), key.attribute)
            for key in KEYS.values()
            if key.section != "kernel"
        }
        if values["minios.tree"] != BUILT_IN:
            values["minios.tree"] = "mini-os"
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Key:
    """One key: where it stands in TOML and in `Config`."""

    path: tuple[str, ...]  # e.g. ("checks", "policy-globals", "core_pattern")
    section: str  # attribute of Config
    attribute: str
    kind: Kind
    default: Any
    doc: str

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


def key_name(attribute: str) -> str:
    """The name of a check, from its attribute."""
    return attribute.replace("_", "-")


def sections() -> dict[tuple[str, ...], Any]:
    """TOML table path → the dataclass instance with its defaults, in order."""
    return {tuple(f.metadata.get("path", (f.name,))): f.default for f in dataclasses.fields(Config)}


def _keys() -> dict[tuple[str, ...], Key]:
    keys = {}
    for section in dataclasses.fields(Config):
        path = tuple(section.metadata.get("path", (section.name,)))
        for entry in dataclasses.fields(section.default):  # type: ignore[arg-type]
            name = key_name(entry.name) if section.name == "checks" else entry.name
            key = Key(
                (*path, name),
                section.name,
                entry.name,
                entry.metadata["kind"],
                entry.default,
                entry.metadata["doc"],
            )
            keys[key.path] = key
    return keys


KEYS: dict[tuple[str, ...], Key] = _keys()
ALL_CHECKS: tuple[str, ...] = Checks().enabled
