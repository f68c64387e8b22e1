"""Static pointers that the kernel rewrites otherwise than by a constant in an instruction.

`code_stores` finds what instructions say by themselves.  The rest is here, by
the pointer's symbol, each line with the kernel file that does it.  A pointer
that code writes from a register and that no line names may hold a function of
the same prototype, or nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """For pointers in `symbol` (a whole-name pattern) whose compiled value is in `golden`.

    `values` names what may stand there; `null` allows nothing there; `foreign`
    code outside of the kernel's own (a module's, BPF's): never believed, but
    not called a change either.
    """

    symbol: str
    reason: str
    values: str = ""
    golden: str = ".*"
    null: bool = False
    foreign: bool = False
    typed: bool = False  # only functions of the compiled one's prototype, where BTF knows both

    def is_of(self, symbol: str) -> bool:
        return bool(re.fullmatch(self.symbol, symbol))

    def replaces(self, golden: str) -> bool:
        return bool(re.fullmatch(self.golden, golden))


_TRACERS = (
    r"\w*(trac|ftrace_|fprobe_)\w*_(call|handler|func)\w*"
    r"|call_direct_funcs|blk_trace_\w+|\w*(function|stack)_\w*call\w*"
)

RULES = (
    Rule("this_cpu", "arch/x86/kernel/cpu/common.c: the vendor's operations", r"\w+_cpu_dev"),
    Rule("x86_return_thunk", "cpu/bugs.c: set_return_thunk(reg)", r"\w*_return_thunk"),
    Rule("i8259A_chip", "i8259.c: init_8259A()", "disable_8259A_irq", golden="mask_and_ack_8259A"),
    Rule(
        "pcibios_disable_irq|memory_device_handler|vesafb_ops", "cleared where it does not apply", null=True
    ),
    Rule(
        "smp_ops",
        "xen/smp_pv.c: xen_smp_ops has none; power/hibernate.c saves and restores play_dead",
        golden="kdump_nmi_shootdown_cpus|native_play_dead",
        null=True,
    ),
    Rule("x86_topology", "smpboot.c: build_sched_topology() drops levels with memset()", null=True),
    Rule(
        r"amd_pstate(_epp)?_driver",
        "drivers/cpufreq/amd-pstate.c, through current_pstate_driver",
        golden="amd_pstate_adjust_perf",
        null=True,
    ),
    Rule(
        r"kvm_posted_intr_wakeup_handler|__SCK____perf_guest_\w+",
        "kernel/irq.c, kernel/events/core.c: set by the KVM module",
        foreign=True,
    ),
    Rule("online_page_callback", "mm/memory_hotplug.c: balloons", "xen_online_page", foreign=True),
    Rule(r"__SCK__x86_pmu_guest_get_msrs", "events/core.c", r"\w+_guest_get_msrs"),
    Rule(
        "__SCK__pv_sched_clock",
        "paravirt.c: paravirt_set_sched_clock()",
        r"(native|kvm|xen|vmware|hv)_sched_clock\w*|read_hv_sched_clock\w*",
    ),
    Rule("__SCK__xen_hypercall", "xen/enlighten.c", r"xen_hypercall_\w+"),
    Rule("__SCK____hv_hypercall", "hyperv/hv_init.c: the hypervisor's own page", r"__hv_\w+", foreign=True),
    Rule(r"__SCK__bpf_dispatcher_\w+", "kernel/bpf/dispatcher.c", "bpf_dispatcher_nop_func", foreign=True),
    Rule(
        "__SCK__udp_tunnel_gro_rcv", "net/ipv4/udp_offload.c: of a tunnel's module", null=True, foreign=True
    ),
    Rule(
        r"__SCK__(preempt_schedule(_notrace)?|might_resched|cond_resched|irqentry_exit_cond_resched)",
        "sched/core.c: dynamic preemption",
        null=True,
    ),
    Rule("ftrace_trace_function", "trace/ftrace.c: the one registered ftrace_ops", _TRACERS, foreign=True),
    Rule("global_ops", "trace/trace_functions.c: the current tracer's", _TRACERS),
    Rule(
        r"(__)?ftrace_graph_(entry|return)|__SCK__fgraph_(ret)?func",
        "trace/fgraph.c: the registered fgraph_ops",
        r"\w*graph_(entry|return)\w*|\w*graph_ret_stub|(entry|return)_run|fgraph_\w+|fprobe_fgraph_\w+"
        r"|profile_graph_\w+",
    ),
)

#: Drivers of the local APIC take a hypervisor's callbacks (apic_set_eoi_write(), hv_apic_init(), …).
APIC = Rule(
    r"\w+",
    "apic/init.c, hyperv/hv_apic.c, kernel/kvm.c: through `apic` and .apicdrivers",
    r"(kvm|hv|xen|savic|x2apic_savic|native|uv|numachip)_\w*apic\w*|kvm_guest_apic_eoi_write|acpi_wakeup_cpu\w*"
    r"|wakeup_cpu_via_vmgexit|wakeup_secondary_cpu_\w+|uv_wakeup_secondary|numachip_wakeup_secondary"
    r"|apicid_phys_pkg_id",
    typed=True,
)
