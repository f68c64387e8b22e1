"""text: what it can find.  The check `modules` finds the same in the patch sites of modules."""

from __future__ import annotations

from tinyvmi_build.checks.check import ONLY_BOOT, FindingKind

#: What is found at sites that the kernel patches, its own or a module's, and in code that it generates.
SITES = (
    FindingKind(
        "alternative",
        "an instruction is not the variant for this processor",
        f"{ONLY_BOOT} (apply_alternatives)",
        is_code=True,
    ),
    FindingKind(
        "return",
        "a return does not go the way that the mitigations ask for",
        f"{ONLY_BOOT} (apply_returns)",
        is_code=True,
    ),
    FindingKind(
        "retpoline",
        "an indirect branch is not protected as the mitigations ask for",
        f"{ONLY_BOOT} (apply_retpolines)",
        is_code=True,
    ),
    FindingKind(
        "paravirt",
        "a paravirtualised operation leads elsewhere than the hypervisor's support",
        f"{ONLY_BOOT} (apply_paravirt)",
        is_code=True,
    ),
    FindingKind("nops", "the kernel's NOPs are not one of its own sets", ONLY_BOOT, is_code=True),
    FindingKind(
        "lock",
        "a lock prefix is there or gone unlike all others",
        "the kernel, at all sites at once, when processors come or go (alternatives_smp_switch)",
    ),
    FindingKind(
        "endbr",
        "a sealed entry of a function is open again",
        f"{ONLY_BOOT} (apply_ibt_endbr)",
        is_code=True,
    ),
    FindingKind(
        "ftrace",
        "a function's entry, or ftrace itself, calls what ftrace's own records do not name",
        "tracers, fprobes, livepatch and BPF register with ftrace and leave no such finding",
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "ftrace-trampoline",
        "a trampoline of ftrace is not the copy of the kernel's code that it must be",
        "only ftrace writes them (create_trampoline, arch_ftrace_update_trampoline)",
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "jump-label",
        "a branch does not follow its static key",
        "the kernel, at all sites of the key at once (static_key_enable)",
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "static-call",
        "a static call leads elsewhere than its key says, or its key leads out of the kernel",
        "the kernel or a module, all sites with the key (static_call_update)",
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "static-call-trampoline",
        "a static call's trampoline leads elsewhere than its key says",
        "the kernel, with the key (static_call_update)",
        transient=True,
        is_code=True,
    ),
    FindingKind("runtime-const", "a constant in an instruction is not its variable's value", ONLY_BOOT),
    FindingKind(
        "kprobe",
        "a probe that is registered in the kernel's own table stands in its code",
        'an administrator with tracefs, perf, SystemTap or BPF: if so, [checks.text] kprobes = "allow"',
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "kprobe-slot",
        "the code that runs instead of a probed instruction was changed",
        "only kprobes writes it, once",
        transient=True,
        is_code=True,
    ),
    FindingKind(
        "bpf",
        "the kernel calls code that its own compiler made of a BPF program",
        'an administrator\'s tool or systemd, with bpf(2): if so, [checks.text] bpf = "allow"',
    ),
    FindingKind(
        "livepatch",
        "livepatch has replaced a function",
        'an administrator who loaded a livepatch module: if so, [checks.text] livepatch = "allow"',
    ),
)


#: The page tables map code or constants with other rights than the kernel does.
MAPPING = FindingKind(
    "mapping",
    "the page tables give the kernel's code or constants rights that they never have",
    "nobody: the kernel sets these rights once, at boot (mark_rodata_ro)",
)

KINDS = (
    FindingKind(
        "text-bytes",
        "code was changed where the kernel never patches itself",
        "nobody: debuggers and rootkits do this",
        is_code=True,
        by_digest=True,
    ),
    FindingKind(
        "page-digest",
        "a page of code was changed so that its sums by lines are the same",
        "nobody: it was made to deceive",
    ),
    MAPPING,
    *SITES,
)
