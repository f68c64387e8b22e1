"""Under which circumstances kernels are judged: the whole grid, and what of it every test run does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.dump import circumstances_tracing as tracing


@dataclass(frozen=True)
class Circumstance:
    """How a kernel is booted (`lab.direct.raw_dump`); `findings` are the kinds that must be reported."""

    name: str
    extra: str = ""
    cpu: str = "qemu64"
    smp: int = 1
    findings: frozenset[str] = field(default=frozenset())
    script: str = ""
    oracle: bool = True  # whether the tests' own prediction knows what was done there

    def boot(self) -> dict[str, Any]:
        return {"extra": self.extra, "cpu": self.cpu, "smp": self.smp, "script": self.script}


_ITS = "Skylake-Server,stepping=7"  # affected from stepping 6 on (cpu/common.c)

CIRCUMSTANCES = [
    Circumstance("plain"),
    Circumstance("nokaslr-la57", "nokaslr", cpu="max"),
    Circumstance("mitigations-off", "mitigations=off", smp=2),
    Circumstance("lfence", "spectre_v2=retpoline,lfence"),
    Circumstance("call-depth", "retbleed=stuff", cpu="Skylake-Server"),
    Circumstance("call-depth-traced", "retbleed=stuff ftrace=function", cpu="Skylake-Server"),
    Circumstance("its", "spectre_v2=off indirect_target_selection=force", cpu=_ITS),
    Circumstance("its-retpoline", "spectre_v2=retpoline indirect_target_selection=force", cpu=_ITS),
    Circumstance("haswell", cpu="Haswell", smp=2),
    Circumstance("skylake", cpu="Skylake-Server", smp=2),
    Circumstance("cascadelake", cpu="Cascadelake-Server"),
    Circumstance("epyc", cpu="EPYC", smp=4),
    Circumstance("milan", cpu="EPYC-Milan"),
    Circumstance("milan-safe-ret", "spec_rstack_overflow=safe-ret", cpu="EPYC-Milan", smp=2),
    Circumstance("one-of-two", "maxcpus=1", smp=2),
    Circumstance("nosmp", "nosmp noxsave"),
    Circumstance("function-tracer", "ftrace=function"),
    Circumstance("function-graph", "ftrace=function_graph"),
    Circumstance("events", "trace_event=sched:*,irq:*"),
    Circumstance(
        "kprobe", "kprobe_event=p:entry,do_nanosleep;{kprobes}", findings=frozenset({"kprobe"})
    ),
    *(
        Circumstance(name, findings=kinds, script=tracing.script(name), oracle=False)
        for name, (_, kinds) in tracing.SCRIPTS.items()
    ),
]  # fmt: skip

#: (metapackage, suite), as `lab.packages.fetch_kernel` takes them.
KERNELS = [
    (f"linux-image-{flavour}", suite)
    for suite in ("bullseye", "bookworm", "trixie", "sid")
    for flavour in ("cloud-amd64", "amd64")
]


def named(name: str) -> Circumstance:
    return next(c for c in CIRCUMSTANCES if c.name == name)


#: What every test run judges besides each kernel's plain boot.
FAST = [
    (("linux-image-cloud-amd64", "bookworm"), "mitigations-off"),
    (("linux-image-cloud-amd64", "bookworm"), "milan"),
    (("linux-image-amd64", "bookworm"), "its"),
    (("linux-image-cloud-amd64", "trixie"), "call-depth"),
    (("linux-image-cloud-amd64", "trixie"), "function-tracer"),
    (("linux-image-cloud-amd64", "bullseye"), "haswell"),
    (("linux-image-cloud-amd64", "sid"), "plain"),
    (("linux-image-cloud-amd64", "sid"), "nokaslr-la57"),
    (("linux-image-cloud-amd64", "trixie"), "kprobe"),
    (("linux-image-cloud-amd64", "trixie"), "tracer-two-instances"),
    (("linux-image-cloud-amd64", "trixie"), "kprobe-twice"),
    (("linux-image-cloud-amd64", "sid"), "graph-and-function"),
]
