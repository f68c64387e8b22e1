"""Under which circumstances kernels are checked: the whole grid, and what of it every test run does.

A circumstance that could fail to come about says in its script how the guest
shows that it holds: a kernel without that option, or a processor that is not
affected, then is no silent repetition of the plain boot, but named with what the guest said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.dump import circumstances_tracing as tracing
from tests.dump.guest_side import ITS, PRELUDE, bug, tools, traced


@dataclass(frozen=True)
class Circumstance:
    """How a kernel is booted, and what is done in it (`lab.direct.raw_dump`).

    `findings` are the kinds that must be reported.  `script` runs in the guest
    behind PRELUDE; with one, the circumstance holds only if the guest says so (`yes`, or `shows`).
    """

    name: str
    extra: str = ""
    cpu: str = "qemu64"
    smp: int = 1
    script: str = ""
    modules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    seconds: float = 180
    findings: frozenset[str] = field(default=frozenset())
    oracle: bool = True  # whether the tests' own prediction knows what was done there

    def boot(self) -> dict[str, Any]:
        """Fields of DumpOptions."""
        return {
            "extra": self.extra,
            "cpu": self.cpu,
            "smp": self.smp,
            "modules": self.modules,
            "script": PRELUDE + self.script if self.script else "",
            "files": tools(self.tools),
            "qemu": self.qemu,
            "seconds": self.seconds,
        }


def _ran(script: str) -> str:
    """A script that says nothing itself."""
    return f"( {script} ) || no 'what it does fails'\nyes done\n"


_ITS = "Skylake-Server,stepping=7"  # affected from stepping 6 on (cpu/common.c)
_DYNAMIC_PREEMPT = """
mount -t debugfs d /sys/kernel/debug || no "no debugfs"
preempt=/sys/kernel/debug/sched/preempt
[ -e $preempt ] || no "preemption is not dynamic"
"""
_NFT = """
ip link set lo up
nft add table inet t
nft add chain inet t c '{ type filter hook input priority 0; }'
nft add rule inet t c tcp dport 22 accept
nft add rule inet t c ct state established accept
ping -c 2 127.0.0.1 >/dev/null
"""
# libcrc32c asks the crypto layer for crc32c, which its dependencies do not say.
_NFT_MODULES = ("crc32c_generic?", "nf_tables", "nft_ct")
_KPROBE = """
tracefs
echo p:mine do_nanosleep > $T/kprobe_events || no "no kprobe events"
echo p:inner do_nanosleep+{inner} >> $T/kprobe_events
echo 1 > $T/events/kprobes/enable
sleep 1
"""
# The load: processes, files, pipes, signals, timers and the network, for a part of every second.
_HOUR = """
work() {
    dd if=/dev/zero of=/tmp/f bs=64k count=4 2>/dev/null
    cat /tmp/f | gzip | gunzip | md5sum >/dev/null
    find /proc/1 >/dev/null 2>&1 || true
    sync
    rm /tmp/f
}
mount -t tmpfs t /tmp
ip link set lo up
ping -q 127.0.0.1 >/dev/null &
while [ "$(cut -d. -f1 /proc/uptime)" -lt 3600 ]; do work; sleep 10; done
kill %1
yes "uptime $(cut -d' ' -f1 /proc/uptime) s, $(sed -n 's/^processes //p' /proc/stat) processes"
"""

CIRCUMSTANCES = [
    Circumstance("plain"),
    Circumstance("smp4", smp=4, script="shows /sys/devices/system/cpu/online 0-3"),
    Circumstance("nokaslr", "nokaslr", script="""
is ffffffff81000000 "$(sed -n 's/ T _text$//p' /proc/kallsyms)" """),
    Circumstance("la57", cpu="max", script="flag la57"),
    Circumstance("nokaslr-la57", "nokaslr", cpu="max"),
    # Processors
    Circumstance("haswell", cpu="Haswell", smp=2),
    Circumstance("skylake", cpu="Skylake-Server", smp=2),
    Circumstance("cascadelake", cpu="Cascadelake-Server"),
    Circumstance("epyc", cpu="EPYC", smp=4),
    Circumstance("milan", cpu="EPYC-Milan"),
    Circumstance("one-of-two", "maxcpus=1", smp=2),
    Circumstance("nosmp", "nosmp noxsave"),
    Circumstance("hotplug", smp=4, script="""
for n in 1 2 3 2 1; do
    f=/sys/devices/system/cpu/cpu$n/online
    [ -e $f ] || no "no processor hotplug"
    echo $((1 - $(cat $f))) > $f
done
shows /sys/devices/system/cpu/online '^0-2$'"""),
    Circumstance("hotplug-first", "maxcpus=1", smp=4, script="""
echo 1 > /sys/devices/system/cpu/cpu1/online
shows /sys/devices/system/cpu/online '^0-1$'"""),
    # Mitigations
    Circumstance("mitigations-off", "mitigations=off", smp=2, script=bug("spectre_v2", "Vulnerable")),
    Circumstance("pti", "pti=on", script=bug("meltdown", "PTI")),
    Circumstance("nopti", "nopti", cpu="Haswell", script=bug("meltdown", "Vulnerable")),
    Circumstance("nospectre-v1", "nospectre_v1", cpu="Haswell", script=bug("spectre_v1", "Vulnerable")),
    Circumstance("nospectre-v2", "nospectre_v2", cpu="Haswell", script=bug("spectre_v2", "Vulnerable")),
    Circumstance("retpoline", "spectre_v2=retpoline,generic", cpu="Haswell",
                 script=bug("spectre_v2", "Retpolines")),
    Circumstance("lfence", "spectre_v2=retpoline,lfence", script=bug("spectre_v2", "LFENCE")),
    Circumstance("ibrs", "spectre_v2=ibrs", cpu="Skylake-Server", script=bug("spectre_v2", "IBRS")),
    Circumstance("eibrs", "setcpuid=ibrs_enhanced spectre_v2=eibrs", cpu="Cascadelake-Server",
                 script=bug("spectre_v2", "Enhanced")),
    Circumstance("retbleed-off", "retbleed=off", cpu="EPYC", script=bug("retbleed", "Vulnerable")),
    Circumstance("unret", "retbleed=unret", cpu="EPYC", script=bug("retbleed", "untrained")),
    Circumstance("ibpb", "setcpuid=ibpb retbleed=ibpb", cpu="EPYC", script=bug("retbleed", "IBPB")),
    Circumstance("call-depth", "retbleed=stuff", cpu="Skylake-Server",
                 script=bug("retbleed", "Stuffing")),
    Circumstance("call-depth-traced", "retbleed=stuff ftrace=function", cpu="Skylake-Server",
                 script=bug("retbleed", "Stuffing") + traced("function")),
    Circumstance("its", "indirect_target_selection=force", cpu=_ITS,
                 script=bug(ITS, "Aligned")),
    Circumstance("its-retpoline", "spectre_v2=retpoline indirect_target_selection=force", cpu=_ITS,
                 script=bug(ITS, "Aligned")),
    Circumstance("its-indirect", "setcpuid=ibrs_enhanced spectre_v2=eibrs indirect_target_selection=force",
                 cpu=_ITS, script=bug(ITS, "Aligned") + bug("spectre_v2", "Enhanced")),
    Circumstance("srso-off", "spec_rstack_overflow=off", cpu="EPYC-Milan",
                 script=bug("spec_rstack_overflow", "Vulnerable")),
    Circumstance("milan-safe-ret", "spec_rstack_overflow=safe-ret", cpu="EPYC-Milan", smp=2,
                 script=bug("spec_rstack_overflow", "[Ss]afe RET")),
    Circumstance("mds-full", "mds=full", cpu="Haswell", script=bug("mds", "Clear CPU buffers")),
    Circumstance("mds-off", "mds=off mmio_stale_data=off", cpu="Haswell",
                 script=bug("mds", "^Vulnerable")),
    Circumstance("mmio", "mmio_stale_data=full", cpu="Skylake-Server",
                 script=bug("mmio_stale_data", "Clear CPU buffers")),
    Circumstance("tsa", "tsa=on", cpu="EPYC-Milan", script=bug("tsa", "Clear CPU buffers")),
    Circumstance("tsx", "tsx=on", cpu="Cascadelake-Server", script="flag rtm"),
    Circumstance("ssbd", "spec_store_bypass_disable=on", cpu="EPYC",
                 script=bug("spec_store_bypass", "disabled")),
    # Static keys and static calls
    Circumstance("schedstats", script="""
sysctl -w kernel.sched_schedstats=1
shows /proc/sys/kernel/sched_schedstats 1"""),
    Circumstance("allocators", "init_on_alloc=1 init_on_free=1 slub_debug=FZPU page_alloc.shuffle=1"
                 " randomize_kstack_offset=on threadirqs", script="dmesg | grep mem.auto-init: >/tmp/said\n"
                 "shows /tmp/said 'heap alloc:on'"),
    Circumstance("preempt-full", "preempt=full", script=_DYNAMIC_PREEMPT + "shows $preempt '(full)'"),
    Circumstance("preempt-none", "preempt=none", script=_DYNAMIC_PREEMPT + "shows $preempt '(none)'"),
    Circumstance("preempt-switched", script=_DYNAMIC_PREEMPT + """
for mode in full voluntary none full lazy voluntary; do echo $mode > $preempt || true; done
shows $preempt '('"""),
    Circumstance("netfilter", tools=("nft",), modules=_NFT_MODULES,
                 script=_NFT + "nft list ruleset > /tmp/said\nshows /tmp/said 'dport 22'"),
    Circumstance("netfilter-removed", tools=("nft",), modules=_NFT_MODULES,
                 script=_NFT + "nft delete table inet t\nis '' \"$(nft list ruleset)\""),
    Circumstance("bpf-stats", script="""
sysctl -w kernel.bpf_stats_enabled=1
shows /proc/sys/kernel/bpf_stats_enabled 1"""),
    Circumstance("bpf", tools=("bpf",), script="""
mkdir /cgroup
mount -t cgroup2 c /cgroup || no "no cgroup2"
ip link set lo up
bpf /cgroup > /tmp/said 2>&1 || no "$(cat /tmp/said)"
ping -c 2 127.0.0.1 >/dev/null
shows /tmp/said 'socket filter and cgroup program'"""),
    # Tracing
    Circumstance("events", "trace_event=sched:*,irq:*", script="tracefs\nshows $T/set_event sched"),
    Circumstance("events-toggled", script="""
tracefs
for group in sched irq timer syscalls kmem; do
    [ ! -e $T/events/$group ] || echo 1 > $T/events/$group/enable
done
sleep 1
grep -q '' $T/trace
head -n 50 $T/trace > /tmp/said
echo 0 > $T/events/enable
is '' "$(cat $T/set_event)"
shows /tmp/said 'CPU#'"""),
    Circumstance("function-tracer", "ftrace=function", script=traced("function")),
    Circumstance("function-tracer-live", smp=2, script="""
tracefs
echo function > $T/current_tracer || no "no function tracer"
sleep 1""" + traced("function")),
    Circumstance("function-tracer-off", smp=2, script="""
tracefs
echo function > $T/current_tracer || no "no function tracer"
sleep 1
echo nop > $T/current_tracer""" + traced("nop")),
    Circumstance("function-filter", script="""
tracefs
echo vfs_read > $T/set_ftrace_filter || no "no function filter"
echo function > $T/current_tracer
shows $T/enabled_functions '^vfs_read '"""),
    Circumstance("function-graph", "ftrace=function_graph", script=traced("function_graph")),
    Circumstance("kprobe", "kprobe_event=p:entry,do_nanosleep;{kprobes}", findings=frozenset({"kprobe"})),
    Circumstance("kprobe-removed", script=_KPROBE + """
echo 0 > $T/events/kprobes/enable
echo > $T/kprobe_events
sleep 1
is '' "$(cat $T/kprobe_events)" """),
    *(
        Circumstance(name, findings=kinds, script=_ran(tracing.script(name)), oracle=False)
        for name, (_, kinds) in tracing.SCRIPTS.items()
    ),
    # Modules
    Circumstance("modules", modules=("crc32c_generic?", "dummy", "veth", "nf_conntrack"),
                 script="shows /proc/modules '^nf_conntrack '"),
    Circumstance("modules-unloaded", modules=("veth", "dummy"), script="""
rmmod dummy
insmod /modules/*-dummy.ko
rmmod dummy
if grep -q '^dummy ' /proc/modules; then no "a module cannot be unloaded"; fi
shows /proc/modules '^veth '"""),
    # Time
    Circumstance("hour", script=_HOUR, qemu=("-icount", "shift=3,sleep=off"), seconds=1800),
]  # fmt: skip

#: (metapackage, suite), as `lab.packages.fetch_kernel` takes them.
KERNELS = [
    (f"linux-image-{flavour}", suite)
    for suite, flavours in (
        ("bullseye", ("cloud-amd64", "amd64")),
        ("bookworm", ("cloud-amd64", "amd64", "rt-amd64")),
        ("trixie", ("cloud-amd64", "amd64", "rt-amd64")),
        ("sid", ("cloud-amd64", "amd64")),
    )
    for flavour in flavours
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
