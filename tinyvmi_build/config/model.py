"""What can be configured.  These classes are the definition: loader, JSON Schema and `init` follow them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tinyvmi_build.checks import registry
from tinyvmi_build.config.key import key
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
    Text,
    Tree,
)

NAME = Text(r"[a-z0-9][a-z0-9-]{0,30}", "1 to 31 lower-case letters, digits and dashes")


@dataclass(frozen=True)
class Monitor:
    """The monitor's own domain, and when it works."""

    name: str = key(NAME, "guest", "Names the build folder, the image and the domain tinyvmi-NAME.")
    memory: int = key(Int(8, 1024, "MiB"), 32, "Memory of the monitor's domain, MiB.")
    period: int = key(
        Duration(10, 86_400_000), 60_000, "From the start of one scan of everything to the next."
    )
    poll: int = key(
        Duration(0, 60_000),
        100,
        "From one incremental check to the next, between scans: of what the target has written, "
        "and of whatever costs little. 0ms: none.",
    )
    time_budget: int = key(
        Int(0, 1_000_000, "microseconds"),
        0,
        "How long a scan may work before it yields the processor, "
        "so that it is spread over half a period; 0: it does not yield.",
    )
    jitter: int = key(
        Int(0, 50, "percent"),
        10,
        "Each period varies by up to this many percent, so that it cannot be foreseen.",
    )
    heartbeat: int = key(
        Duration(100, 3_600_000), 5000, "The monitor reports at least this often that it is alive."
    )


@dataclass(frozen=True)
class Target:
    """The guest that is watched."""

    domain: str = key(
        Text(r"[A-Za-z0-9_+:@./-]{0,128}", "a domain's name or number, in quotes"),
        "",
        "Its name or domid; may be left to `launch --target`.",
    )


@dataclass(frozen=True)
class Kernel:
    """The kernels that the guest may run."""

    packages: tuple[Path, ...] = key(
        FilePaths(), (), "Packages (.deb), vmlinuz files or folders, relative to this file."
    )
    modules: tuple[Path, ...] = key(
        FilePaths(), (), "More modules: .ko files, packages, or folders of such; all of them are verified."
    )
    profile: Path | None = key(FilePath(), None, "Or a profile that `profile build` has made of them.")


S = TypeVar("S")


@dataclass(frozen=True)
class Checks:
    """What is compared, in this order: a check that is quick comes first.  Each can be switched off."""

    off: frozenset[str] = frozenset()
    #: Those that differ from their defaults; `of` gives any.
    settings: tuple[Any, ...] = ()

    @property
    def enabled(self) -> tuple[str, ...]:
        """The names of the checks that are on, in the order of a scan."""
        return tuple(name for name in registry.names() if name not in self.off)

    def of(self, settings: type[S]) -> S:
        """What the table of a check says, by the type of its settings."""
        return next((own for own in self.settings if type(own) is settings), None) or settings()


@dataclass(frozen=True)
class Golden:
    """How the target's pages are compared with the package's."""

    comparison: str = key(
        Choice(("bytes", "digest")),
        "bytes",
        "`bytes`: a page whose digest was right is cached and compared from then on, for as much memory "
        "as the kernel's code and constants take. `digest`: each is digested in each scan: a smaller domain.",
    )
    hash: str = key(
        Choice(("blake3", "sha256")),
        "blake3",
        "What pages are digested by. Both are as secure; BLAKE3 is the faster one.",
    )


@dataclass(frozen=True)
class MiniOS:
    """The Mini-OS underneath."""

    tree: str | Path | GitTree = key(
        Tree(),
        BUILT_IN,
        '"built-in", or a tree of the Xen Project\'s: its folder, or { git = "URL", rev = "COMMIT" }.',
    )


@dataclass(frozen=True)
class Privilege:
    """How the monitor gets at its target's memory."""

    mode: str = key(
        Choice(("target", "flask")),
        "target",
        "`target`: XEN_DOMCTL_set_target, on any stock Xen. `flask`: a policy for a Xen with XSM.",
    )
    domain_info: bool = key(
        Bool(), False, "In FLASK mode: the monitor may ask Xen for its target's size and state."
    )
    vcpu_context: bool = key(
        Bool(), False, "In FLASK mode: it may read registers, which the check `registers` needs."
    )
    pause: bool = key(Bool(), False, "In FLASK mode: it may pause its target and let it run again.")


@dataclass(frozen=True)
class Config:
    """All of it.  Durations are milliseconds, memory is MiB, paths lead from their file's folder."""

    monitor: Monitor = Monitor()
    target: Target = Target()
    kernel: Kernel = Kernel()
    checks: Checks = Checks()
    golden: Golden = Golden()
    minios: MiniOS = MiniOS()
    privilege: Privilege = Privilege()

    @property
    def checks_made(self) -> tuple[str, ...]:
        """The names of the checks that the image makes: those that are on and have what they need."""
        off = self.checks.off
        return tuple(c.name for c in registry.checks() if c.name not in off and c.possible(self))

    def with_values(self, values: Mapping[tuple[str, ...], Any]) -> Config:
        """This configuration with the values of some keys, by their paths, replaced."""
        off = set(self.checks.off)
        by_owner: dict[str | type[Any], dict[str, object]] = {}
        for path, value in values.items():
            key = KEYS[path]
            if key.switches:
                off = off - {key.switches} if value else off | {key.switches}
            else:
                by_owner.setdefault(key.owner, {})[key.attribute] = value
        sections = {
            owner: dataclasses.replace(getattr(self, owner), **found)
            for owner, found in by_owner.items()
            if isinstance(owner, str)
        }
        settings = {type(own): own for own in self.checks.settings}
        for owner, found in by_owner.items():
            if not isinstance(owner, str):
                settings[owner] = dataclasses.replace(self.checks.of(owner), **found)
        checks = Checks(frozenset(off), tuple(own for own in settings.values() if own != type(own)()))
        return dataclasses.replace(self, checks=checks, **sections)

    def digest(self) -> str:
        """SHA-256 (hex) of everything but places: build-ids stand for kernels, `base_rev` for a tree."""
        values = {key.dotted: key.value(self) for key in KEYS.values() if key.owner != "kernel"}
        if values["minios.tree"] != BUILT_IN:
            values["minios.tree"] = "mini-os"
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Key:
    """One key: where it stands in TOML and in `Config`."""

    path: tuple[str, ...]  # e.g. ("checks", "policy-globals", "core_pattern")
    owner: str | type[Any]  # an attribute of Config, or the type of a check's settings
    attribute: str
    kind: Kind
    default: Any
    doc: str
    switches: str = ""  # the check that it switches on or off

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    def value(self, config: Config) -> Any:
        """What `config` has."""
        if self.switches:
            return self.switches not in config.checks.off
        owner = getattr(config, self.owner) if isinstance(self.owner, str) else config.checks.of(self.owner)
        return getattr(owner, self.attribute)


@dataclass(frozen=True)
class Section:
    """A table of tinyvmi.toml."""

    path: tuple[str, ...]
    doc: str
    keys: tuple[Key, ...]


def sections() -> dict[tuple[str, ...], Section]:
    """Every table by its path, in order."""
    found = []
    for part in dataclasses.fields(Config):
        if part.name != "checks":
            found.append(_section((part.name,), part.name, type(part.default)))
            continue
        found.append(_switches())
        for check in registry.checks():
            if check.settings is not None:
                found.append(_section(("checks", check.name), check.settings, check.settings))
    return {section.path: section for section in found}


def _section(path: tuple[str, ...], owner: str | type[Any], declared: type[Any]) -> Section:
    keys = tuple(
        Key(
            path=(*path, entry.name),
            owner=owner,
            attribute=entry.name,
            kind=entry.metadata["kind"],
            default=entry.default,
            doc=entry.metadata["doc"],
        )
        for entry in dataclasses.fields(declared)
    )
    return Section(path, declared.__doc__ or "", keys)


def _switches() -> Section:
    keys = tuple(
        Key(("checks", check.name), "checks", check.identifier, Bool(), True, check.summary, check.name)
        for check in registry.checks()
    )
    return Section(("checks",), Checks.__doc__ or "", keys)


KEYS: dict[tuple[str, ...], Key] = {key.path: key for section in sections().values() for key in section.keys}
