"""What each kind of finding means in one line, and who could have made such a change legitimately."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """`what` it means; `who` could have done it legitimately."""

    what: str
    who: str


_NOBODY = "nobody: nothing writes this after boot"
_BOOT = "only the kernel while it boots"
_CONSTANT = Meaning("constant data was changed, which the kernel maps read-only", _NOBODY)
_MAPPING = Meaning(
    "the page tables give the kernel's code or constants rights that they never have",
    "nobody: the kernel sets these rights once, at boot (mark_rodata_ro)",
)

# (check, kind) → what and who.  A check's own entry is under (check, "").
_MEANINGS = {
    ("syscall-table", "pointer"): Meaning(
        "a system call leads elsewhere", "nobody: tracers hook the entries of functions and not this table"
    ),
    ("idt", "gate"): Meaning(
        "an interrupt or exception enters elsewhere",
        f"{_BOOT}; the vectors of hypervisors are allowed for",
    ),
    ("idt", "mapping"): Meaning("the CPUs see another frame as their IDT than the kernel's own", "nobody"),
    ("registers", "register"): Meaning(
        "a processor enters the kernel elsewhere, or with less protection, than this kernel sets it up",
        f"{_BOOT}; breakpoints in the kernel also by kgdb and perf (mem:ADDRESS)",
    ),
    ("registers", "trap"): Meaning(
        "Xen enters this PV guest elsewhere for a vector than its kernel registers", _BOOT
    ),
    ("policy-globals", "string"): Meaning(
        "the kernel would start this program as root",
        "an administrator, with sysctl: if so, allow it in [checks.policy-globals]",
    ),
    ("rodata", "page-digest"): _CONSTANT,
    ("rodata", "bytes"): _CONSTANT,
    ("identity", "bytes"): Meaning("the image does not say what its package says", _NOBODY),
    ("identity", "string"): Meaning("the kernel's banner is not its package's", _NOBODY),
    ("identity", "mapping"): Meaning("kernel addresses lead to other frames than the image's", "nobody"),
    ("text", "text-bytes"): Meaning(
        "code was changed where the kernel never patches itself", "nobody: debuggers and rootkits do this"
    ),
    ("text", "page-digest"): Meaning(
        "a page of code was changed so that its sums by lines are the same", "nobody: it was made to deceive"
    ),
    ("text", "mapping"): _MAPPING,
    ("text", "alternative"): Meaning(
        "an instruction is not the variant for this processor", f"{_BOOT} (apply_alternatives)"
    ),
    ("text", "return"): Meaning(
        "a return does not go the way that the mitigations ask for", f"{_BOOT} (apply_returns)"
    ),
    ("text", "retpoline"): Meaning(
        "an indirect branch is not protected as the mitigations ask for", f"{_BOOT} (apply_retpolines)"
    ),
    ("text", "paravirt"): Meaning(
        "a paravirtualised operation leads elsewhere than the hypervisor's support",
        f"{_BOOT} (apply_paravirt)",
    ),
    ("text", "nops"): Meaning("the kernel's choice of NOPs is none of its own", _BOOT),
    ("text", "lock"): Meaning(
        "a lock prefix is there or gone unlike all others",
        "the kernel, at all places at once, when processors come or go (alternatives_smp_switch)",
    ),
    ("text", "endbr"): Meaning("a sealed entry of a function is open again", f"{_BOOT} (apply_ibt_endbr)"),
    ("text", "ftrace"): Meaning(
        "a function's entry, or ftrace itself, calls what ftrace's own books do not say",
        "tracers, fprobes, livepatch and BPF go through ftrace's books and leave no such finding",
    ),
    ("text", "ftrace-trampoline"): Meaning(
        "a trampoline of ftrace is not the copy of the kernel's code that it must be",
        "only ftrace writes them (create_trampoline, arch_ftrace_update_trampoline)",
    ),
    ("text", "jump-label"): Meaning(
        "a branch does not follow its static key",
        "the kernel, at all places of the key at once (static_key_enable)",
    ),
    ("text", "static-call"): Meaning(
        "a static call leads elsewhere than its key says, or its key leads out of the kernel",
        "the kernel or a module, all places with the key (static_call_update)",
    ),
    ("text", "static-call-trampoline"): Meaning(
        "a static call's trampoline leads elsewhere than its key says",
        "the kernel, with the key (static_call_update)",
    ),
    ("text", "runtime-const"): Meaning("a constant in an instruction is not its variable's value", _BOOT),
    ("text", "kprobe"): Meaning(
        "a probe that is registered in the kernel's own table stands in its code",
        "an administrator with tracefs, perf, SystemTap or BPF: if so, [checks.text] kprobes = \"allow\"",
    ),
    ("text", "kprobe-slot"): Meaning(
        "the code that runs in place of a probed instruction was changed", "only kprobes writes it, once"
    ),
    ("text", "bpf"): Meaning(
        "the kernel calls code that its own compiler made of a BPF program",
        "an administrator's tool or systemd, with bpf(2): if so, [checks.text] bpf = \"allow\"",
    ),
    ("text", "livepatch"): Meaning(
        "livepatch has replaced a function",
        "an administrator who loaded a livepatch module: if so, [checks.text] livepatch = \"allow\"",
    ),
    ("text", ""): Meaning(
        "the kernel patches this place itself, but to no such encoding in its present state",
        "tracing, static keys, livepatch and BPF leave others",
    ),
    ("function-pointers", "pointer"): Meaning(
        "the kernel would call other code here than its package says",
        "nobody: none of the kernel's own code puts this there",
    ),
    ("ro-after-init", "boot-value"): Meaning("a value of the boot leads to where none leads", _NOBODY),
    ("ro-after-init", ""): Meaning("what was written at boot and made read-only has changed", _NOBODY),
    ("page-tables", "pointer"): Meaning(
        "init_mm has another root of page tables than init_top_pgt", "nobody"
    ),
    ("page-tables", "page-table"): Meaning(
        "this address space has another view of the kernel than init_top_pgt", "nobody"
    ),
    ("modules", "unknown-module"): Meaning(
        "a module is loaded that the packages given do not explain",
        "an administrator or DKMS: if so, give its .ko with [kernel] modules or --modules",
    ),
    ("modules", "module"): Meaning("the kernel's own book of its modules is not as it must be", "nobody"),
    ("modules", "text-bytes"): Meaning(
        "a module's code was changed where the kernel never patches it",
        "nobody: debuggers and rootkits do this",
    ),
    ("modules", "bytes"): Meaning("a module's constant data was changed", "nobody once it is loaded"),
    ("modules", "page-digest"): Meaning(
        "a page of a module was changed so that its sums by lines are the same",
        "nobody: it was made to deceive",
    ),
    ("modules", ""): Meaning(
        "a module's code or constant data is not that of its package", "nobody after the module was loaded"
    ),
}  # fmt: skip
_NONE = Meaning("", "")


def meaning(check: str, kind: str) -> Meaning:
    """About findings of this kind; empty texts if there is nothing to say."""
    found = _MEANINGS.get((check, kind))
    if found is None and check == "modules":  # its patched places are judged as the kernel's own
        found = _MEANINGS.get(("text", kind))
    return found or _MEANINGS.get((check, "")) or _NONE


def is_told(check: str, kind: str) -> bool:
    """Whether this very kind has a text of its own."""
    return (check, kind) in _MEANINGS


@dataclass(frozen=True)
class FindingKind:
    """What findings of a kind are called, and whether they come and go while the kernel patches itself."""

    name: str
    transient: bool


_TRANSIENT = {
    *("jump-label", "static-call", "static-call-trampoline"),
    *("ftrace", "ftrace-trampoline", "kprobe", "kprobe-slot"),
}


def kinds() -> list[FindingKind]:
    """All of them, as the generated <tinyvmi_checks.h> numbers them."""
    names = {kind for _, kind in _MEANINGS if kind} | {"static-call-site", "constant", "vdso", "per-cpu"}
    return [FindingKind(name, name in _TRANSIENT) for name in sorted(names)]
