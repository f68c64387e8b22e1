"""text: every byte of .text; where the kernel patches itself, the encodings that the package allows.

What the package says of the sites is in `sites`, how each series patches in
`series` and `patch`, what that can come to in `shapes`; `regions` puts all
sites in one order and `tables` into the monitor's form.  docs/design/checks/text.md
explains the whole.  Offsets are from _text, modulo 2^32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.digest_range import PAGE, DigestRange
from tinyvmi_build.profile.encoding import Blob, U8s, U16s, U32s
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


#: Fixes of a template (enum tv_text_fix).
REL, REL_RETURN, REL_PV, REL_PV_COUNTED, ADD32, SUB32, ADD64, ADDR32, ADDR64 = range(9)


@dataclass(frozen=True)
class Template:
    """Bytes of one encoding; `fixes` are (offset, kind, argument)."""

    code: bytes
    fixes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class NumberedShape:
    """What may stand at a site: numbers of templates, indexed by the values of the conditions."""

    size: int
    conditions: tuple[int, ...]
    templates: tuple[int, ...]


@dataclass(frozen=True)
class CodeTables:
    """The patch sites of one stretch of code, the kernel's or a module's (struct tv_text_code).

    site_index      of each page its first entry in `sites`; one more at the end
    sites           kind << 12 | offset in the page
    args            of each site that has one, in their order
    jumps           of each jump label: u32 target, u16 key, u8 size, u8 branch
    jump_keys       the static keys
    call_keys       the keys of static calls
    call_index      of each page its first entry in `call_gaps`; one more at the end
    call_gaps       distances between calls that call-depth tracking counts
    function_index  of each page its first entry in `functions`; one more at the end
    functions       what stands in front of it << 12 | offset in the page
    """

    site_index: U32s
    sites: U16s
    args: U16s
    jumps: Blob
    jump_keys: U32s
    call_keys: U32s
    call_index: U32s
    call_gaps: U8s
    function_index: U32s
    functions: U16s


@dataclass(frozen=True)
class Features:
    """Numbers of the processor's features that decide about mitigations; 0: this kernel does not have it."""

    retpoline: int
    lfence: int
    rethunk: int
    its: int
    call_depth: int


@dataclass(frozen=True)
class NativePatch:
    """Instructions that stand in place of a call by a pointer of pv_ops that has its native function."""

    pointer: int
    code: bytes
    function: int


@dataclass(frozen=True)
class Paravirt:
    """Pointers of pv_ops that code calls through, and functions that they may lead to."""

    pointers: tuple[int, ...]
    functions: tuple[int, ...]
    nop: int
    bug: int
    native: tuple[NativePatch, ...]
    ident: int
    iret: int
    patch: int
    patch_default: int


@dataclass(frozen=True)
class StaticCalls:
    """Functions that a static call replaces by other instructions; 0: this kernel does not."""

    ret0: int
    warn: int
    empty: int


@dataclass(frozen=True)
class RuntimeConstant:
    """A constant that the kernel puts into instructions at boot; `variable` is 0 where it keeps none."""

    symbol: str
    kind: int
    variable: int


@dataclass(frozen=True)
class RuntimeConstants:
    """All of them, and where slab caches are listed if any of them is one."""

    list: tuple[RuntimeConstant, ...]
    slab_caches: int
    slab_list: int


@dataclass(frozen=True)
class Caller:
    """What create_trampoline() copies of a caller, and the sites that it changes, from `start`."""

    start: int
    size: int
    op: int
    call: int
    jmp: int


@dataclass(frozen=True)
class Ftrace:
    """ftrace's operations and records, what its callers consist of, and what they may call."""

    ops_list: int
    list_end: int
    func: int
    next: int
    trampoline: int
    flags: int
    hashes: int
    filter: int
    notrace: int
    bits: int
    heads: int
    count: int
    entry_ip: int
    entry_direct: int
    direct: int
    pages: int
    page_next: int
    page_records: int
    page_index: int
    trace_function: int
    enabled: int
    assist: int
    site_count: int
    save_regs: int
    adding: int
    modifying: int
    alloc_tramp: int
    assist_set: int
    assist_clear: int
    callers: tuple[int, ...]
    functions: tuple[int, ...]
    graph: tuple[int, ...]
    moves: int
    templates: tuple[Caller, ...]


@dataclass(frozen=True)
class Kprobes:
    """The table of kprobes: lists of struct kprobe, and what their slots consist of."""

    table: int
    buckets: int
    hlist: int
    list: int
    addr: int
    opcode: int
    flags: int
    pre_handler: int
    post_handler: int
    slot: int
    copied: int
    optimized: int
    optimized_size: int
    opt_list: int
    handler: int
    entry_handler: int
    aggr_pre_handler: int
    pre_handler_kretprobe: int
    callback: int
    all_disarmed: int
    int3_in_slot: int
    template: bytes
    template_clac: int
    template_val: int
    template_call: int


@dataclass(frozen=True)
class Registries:
    """Where code made of BPF programs and livepatch's functions are listed; 0: this kernel has none."""

    bpf_list: int = 0
    bpf_start: int = 0
    bpf_end: int = 0
    bpf_name: int = 0
    bpf_node: int = 0
    klp_list: int = 0
    klp_node: int = 0
    klp_stack: int = 0
    klp_ops: int = 0
    klp_func: int = 0
    klp_old: int = 0
    klp_new: int = 0
    klp_name: int = 0
    klp_handler: int = 0


@dataclass(frozen=True)
class Poke:
    """The text poke in flight (arch/x86/kernel/alternative.c): which sites it names.

    `vector` is where struct text_poke_loc begin (`indirect`: a pointer to them), `count` their number; their
    addresses count from _stext.
    """

    vector: int
    indirect: int
    count: int
    refs: int
    size: int
    address: int
    base: int


@dataclass(frozen=True)
class TextGolden(GoldenValues):
    """The kernel's code: `content` is what the file has, `counts` how many sites there are by kind."""

    CHECK: ClassVar[str] = "text"

    symbol: str
    va: int
    size: int
    series: str
    capabilities: int
    capability_words: int
    features: Features
    x86_return_thunk: int
    return_thunks: tuple[int, ...]
    its_return_thunk: int
    thunks: int
    call_thunks: int
    jump_thunks: int
    its_thunks: int
    uniproc_patched: int
    ideal_nops: int
    k8_nops: int
    p6_nops: int
    pads_jumps: bool
    int3_after_jump: bool
    one_nop: bool
    nop_max: int
    endbr_poison: bytes
    paravirt: Paravirt
    static_calls: StaticCalls
    constants: RuntimeConstants
    ftrace: Ftrace
    kprobes: Kprobes
    registries: Registries
    poke: Poke
    shapes: tuple[NumberedShape, ...]
    templates: tuple[Template, ...]
    call_pad: Template
    counts: dict[str, int]
    content: Blob
    pages: DigestRange
    code: CodeTables

    @property
    def tracked_end(self) -> int:
        """Link address of the end of the last page."""
        return self.va + self.size // PAGE * PAGE


def compute(image: KernelImage) -> TextGolden:
    """Of a kernel of a known series, with relocations."""
    from tinyvmi_build.checks.text.tables import Tables

    return Tables(image).golden()
