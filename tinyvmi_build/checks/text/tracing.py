"""Who may change code while the kernel runs, and where it keeps its records: ftrace, kprobes, BPF, livepatch.

Sources: include/linux/{ftrace,kprobes,bpf,livepatch}.h, kernel/trace/ftrace.c, kernel/kprobes.c,
kernel/livepatch/patch.[ch], arch/x86/kernel/{ftrace.c,ftrace_64.S,kprobes/opt.c}.  Offsets are from _text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.insn import decode
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.golden import Caller, Ftrace, Kprobes, Registries
from tinyvmi_build.checks.text.series import Series
from tinyvmi_build.checks.text.state import offset
from tinyvmi_build.kernel.missing import MissingFactError

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

_CALLER_MAX = 512  # bytes of ftrace_caller that the monitor keeps
_TEMPLATE_MAX = 256
_RECORD = {"ENABLED": 31, "REGS_EN": 29, "TRAMP_EN": 27, "DIRECT_EN": 23}
_OPS = ("ENABLED", "SAVE_REGS", "ADDING", "MODIFYING", "ALLOC_TRAMP", "RCU", "DIRECT")


def _flag(image: KernelImage, name: str) -> int | None:
    try:
        return image.btf.enumerator(name)
    except MissingFactError:
        return None


def ftrace(image: KernelImage, text: int, series: Series, sites: list[int]) -> Ftrace:
    """ftrace's operations and records, what its callers consist of, and what they may call."""
    get = image.symbols.get
    functions = ("ftrace_stub", "ftrace_ops_list_func", "arch_ftrace_ops_list_func")
    callers = ("ftrace_caller", "ftrace_regs_caller")
    graph = ("ftrace_stub", "ftrace_graph_caller")
    _verify_records(image)
    return Ftrace(
        ops_list=require(image, "ftrace_ops_list") - text,
        list_end=require(image, "ftrace_list_end") - text,
        func=offset(image, "ftrace_ops", "func"),
        next=offset(image, "ftrace_ops", "next"),
        trampoline=offset(image, "ftrace_ops", "trampoline"),
        flags=offset(image, "ftrace_ops", "flags"),
        hashes=offset(image, "ftrace_ops", "func_hash"),
        filter=offset(image, "ftrace_ops_hash", "filter_hash"),
        notrace=offset(image, "ftrace_ops_hash", "notrace_hash"),
        bits=offset(image, "ftrace_hash", "size_bits"),
        heads=offset(image, "ftrace_hash", "buckets"),
        count=offset(image, "ftrace_hash", "count"),
        entry_ip=offset(image, "ftrace_func_entry", "ip"),
        entry_direct=offset(image, "ftrace_func_entry", "direct"),
        direct=require(image, "direct_functions") - text,
        pages=require(image, "ftrace_pages_start") - text,
        page_next=offset(image, "ftrace_page", "next"),
        page_records=offset(image, "ftrace_page", "records"),
        page_index=offset(image, "ftrace_page", "index"),
        trace_function=require(image, "ftrace_trace_function") - text,
        enabled=require(image, "ftrace_enabled") - text,
        assist=require(image, "ftrace_ops_assist_func") - text,
        site_count=len(sites),
        **_ops_flags(image),
        callers=tuple(require(image, name) - text for name in callers),
        functions=tuple(va - text for name in functions if (va := get(name)) is not None),
        graph=tuple(va - text for name in graph if (va := get(name)) is not None),
        moves=int(series.relocates),
        templates=tuple(_caller(image, name, text, series) for name in callers),
    )


def _verify_records(image: KernelImage) -> None:
    """struct dyn_ftrace: 16 bytes, address and flags; the flags' bits are those of every series since 5.5."""
    shape = [offset(image, "dyn_ftrace", "ip"), offset(image, "dyn_ftrace", "flags")]
    if shape != [0, 8] or image.btf.sizeof("struct dyn_ftrace") != 16:
        raise UnsupportedError("struct dyn_ftrace is not what this generator expects")
    for name, bit in _RECORD.items():
        value = _flag(image, f"FTRACE_FL_{name}")
        if value is not None and value & 0xFFFFFFFF != 1 << bit:
            raise UnsupportedError(f"FTRACE_FL_{name} is {value:#x}, bit {bit} was expected")


def _ops_flags(image: KernelImage) -> dict[str, int]:
    """Values of FTRACE_OPS_FL_*; `assist_set` and `assist_clear` ask for ftrace_ops_assist_func."""
    found = {name: _flag(image, f"FTRACE_OPS_FL_{name}") for name in (*_OPS, "RECURSION", "RECURSION_SAFE")}
    absent = [name for name in _OPS if found[name] is None]
    if absent:
        raise UnsupportedError(f"FTRACE_OPS_FL_{absent[0]} is not described")
    recursion, safe = found["RECURSION"], found["RECURSION_SAFE"]
    if (recursion is None) == (safe is None):
        raise UnsupportedError("how ftrace_ops ask for protection against recursion is not known")
    return {
        "save_regs": found["SAVE_REGS"] or 0,
        "adding": found["ADDING"] or 0,
        "modifying": found["MODIFYING"] or 0,
        "alloc_tramp": found["ALLOC_TRAMP"] or 0,
        "assist_set": (found["RCU"] or 0) | (recursion or 0),
        "assist_clear": safe or 0,
    }


def _verify_unmoved(image: KernelImage, name: str, start: int, end: int, known: set[int]) -> None:
    """Before relocation of copies (6.7) nothing else in a caller may depend on where it lies."""
    code, at = image.read(start, end - start), 0
    while at < len(code):
        insn = decode(code, at)
        if insn is None:
            raise UnsupportedError(f"{name} has an instruction that is not known")
        out = insn.branches and insn.imm_size == 4
        if (insn.rip_relative or out) and start + at not in known:
            raise UnsupportedError(f"{name} depends on where it lies")
        at += insn.length


def _caller(image: KernelImage, name: str, text: int, series: Series) -> Caller:
    """What create_trampoline() copies of a caller: from `start` to `end`, and the sites that it changes."""
    regs = name == "ftrace_regs_caller"
    start, end = require(image, name), require(image, f"{name}_end")
    op = require(image, f"{name}_op_ptr")
    call = require(image, "ftrace_regs_call" if regs else "ftrace_call")
    jmp = require(image, f"{name}_jmp") if regs else 0
    if not start < op < end - 7 or not start < call < end - 5 or end - start > _CALLER_MAX:
        raise UnsupportedError(f"{name} is not what this generator expects")
    if image.read(op, 3) != b"\x48\x8b\x15" or image.read(call, 1) != b"\xe8":
        raise UnsupportedError(f"{name} does not load or call as this generator expects")
    if not series.relocates:
        _verify_unmoved(image, name, start, end, {op, call})
    if jmp and (not start < jmp < end - 2 or image.read(jmp, 1) != b"\x75"):
        raise UnsupportedError(f"{name} does not jump as this generator expects")
    return Caller(
        start=start - text,
        size=end - start,
        op=op - start,
        call=call - start,
        jmp=jmp - start if jmp else 0,
    )


def kprobes(image: KernelImage, text: int, series: Series) -> Kprobes:
    """Of kprobe_table, which has 64 lists."""
    start = require(image, "optprobe_template_entry")
    end = require(image, "optprobe_template_end")
    if not 0 < end - start <= _TEMPLATE_MAX:
        raise UnsupportedError(f"the template of optimised kprobes has {end - start} bytes")
    _verify_template(image, start, end)
    handlers = ("aggr_pre_handler", "pre_handler_kretprobe")
    return Kprobes(
        table=require(image, "kprobe_table") - text,
        buckets=64,
        **{
            name: offset(image, "kprobe", name)
            for name in ("hlist", "list", "addr", "opcode", "flags", "pre_handler", "post_handler")
        },
        slot=offset(image, "kprobe", "ainsn.insn"),
        copied=offset(image, "optimized_kprobe", "optinsn.copied_insn"),
        optimized=offset(image, "optimized_kprobe", "optinsn.insn"),
        optimized_size=offset(image, "optimized_kprobe", "optinsn.size"),
        opt_list=offset(image, "optimized_kprobe", "list"),
        handler=offset(image, "kretprobe", "handler"),
        entry_handler=offset(image, "kretprobe", "entry_handler"),
        **{name: require(image, name) - text for name in handlers},
        callback=require(image, "optimized_callback") - text,
        all_disarmed=require(image, "kprobes_all_disarmed") - text,
        int3_in_slot=int(series.int3_in_slot),
        template=image.read(start, end - start),
        **{
            f"template_{name}": require(image, f"optprobe_template_{name}") - start
            for name in ("clac", "val", "call")
        },
    )


def _verify_template(image: KernelImage, start: int, end: int) -> None:
    """Nothing in it depends on where it lies, so that it can be compared byte by byte."""
    code, at = image.read(start, end - start), 0
    while at < len(code):
        insn = decode(code, at)
        if insn is None or insn.rip_relative or insn.branches:
            raise UnsupportedError("the template of optimised kprobes is not what this generator expects")
        at += insn.length
    if any(True for _ in image.relocs_in(start, end)):
        raise UnsupportedError("the template of optimised kprobes is relocated")


def registries(image: KernelImage, text: int) -> Registries:
    """Of a kernel with BPF, livepatch, both or neither."""
    found = Registries()
    if (bpf := image.symbols.get("bpf_kallsyms")) is not None:
        found = replace(
            found,
            bpf_list=bpf - text,
            bpf_start=offset(image, "bpf_ksym", "start"),
            bpf_end=offset(image, "bpf_ksym", "end"),
            bpf_name=offset(image, "bpf_ksym", "name"),
            bpf_node=offset(image, "bpf_ksym", "lnode"),
        )
    if (klp := image.symbols.get("klp_ops")) is not None:
        found = replace(
            found,
            klp_list=klp - text,
            klp_node=offset(image, "klp_ops", "node"),
            klp_stack=offset(image, "klp_ops", "func_stack"),
            klp_ops=offset(image, "klp_ops", "fops"),
            klp_func=offset(image, "klp_func", "stack_node"),
            klp_old=offset(image, "klp_func", "old_func"),
            klp_new=offset(image, "klp_func", "new_func"),
            klp_name=offset(image, "klp_func", "old_name"),
            klp_handler=require(image, "klp_ftrace_handler") - text,
        )
    return found
