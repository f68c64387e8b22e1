"""text: what its table in tinyvmi.toml can say."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvmi_build.config.key import key
from tinyvmi_build.config.kinds import Choice

_POLICY = Choice(("finding", "allow"))


@dataclass(frozen=True)
class TextSettings:
    """What administrators may put into the kernel's code: a finding, or allowed and reported as a notice."""

    kprobes: str = key(
        _POLICY, "finding", "Kprobes in the kernel's own table, with handlers in its own code."
    )
    bpf: str = key(
        _POLICY,
        "finding",
        "Calls of code that the kernel made of BPF programs; that code cannot be verified.",
    )
    livepatch: str = key(_POLICY, "finding", "Functions that livepatch replaces.")
