"""How the kernels of each series patch themselves.

The site tables say where; this says how.  A kernel of a series that is not
listed is unsupported: adding one means to read its arch/x86/kernel/alternative.c,
static_call.c, jump_label.c and callthunks.c against these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


def _feature(word: int, bit: int) -> int:
    return word * 32 + bit


# asm/cpufeatures.h: the same in all of the series below.
RETPOLINE = _feature(11, 12)
RETPOLINE_LFENCE = _feature(11, 13)
RETHUNK = _feature(11, 14)
CALL_DEPTH = _feature(11, 19)
XENPV = _feature(8, 16)


@dataclass(frozen=True)
class Series:
    """What differs between kernels.

    its                 number of X86_FEATURE_INDIRECT_THUNK_ITS
    capability_words    NCAPINTS + NBUGINTS
    nop_max             ASM_NOP_MAX
    k8_nops             the processor chooses between two tables of NOPs (arch_init_ideal_nops)
    paravirt            "first" or "last" among the patchers, or "alternatives" (DIRECT_CALL)
    native_patch        paravirt sites may become single instructions (paravirt_patch.c)
    relocates           replacements are relocated instruction by instruction (apply_relocation)
    one_choice          of several alternatives of a site only the last is applied
    call_thunks         "" or when callthunks_patch_builtin_calls() runs: "after" or "before" alternatives
    pads_jumps          an indirect jmp is padded with INT3 alone, a call with CS prefixes (7.x)
    int3_after_jump     INT3 after an indirect jmp
    endbr_poison        gen_endbr_poison()
    ret0                static calls of __static_call_return0 become `xor eax, eax`
    warn_trap           static calls of __WARN_trap become `ud1`
    int3_in_slot        INT3 behind a kprobe's copied instruction (prepare_singlestep)
    static_calls_ro     a module's .static_call_sites are read-only after its init (module_mark_ro_after_init)
    """

    name: str
    its: int
    capability_words: int
    nop_max: int
    k8_nops: bool = False
    paravirt: str = "alternatives"
    native_patch: bool = False
    relocates: bool = True
    one_choice: bool = False
    call_thunks: str = ""
    pads_jumps: bool = False
    int3_after_jump: bool = True
    endbr_poison: bytes = bytes.fromhex("660f1f00")
    ret0: bool = True
    warn_trap: bool = False
    int3_in_slot: bool = True
    static_calls_ro: bool = False


_5_10 = Series(
    "5.10", _feature(11, 9), 25, 8, k8_nops=True, paravirt="last", native_patch=True, relocates=False,
    int3_after_jump=False, ret0=False, int3_in_slot=False,
)  # fmt: skip
_6_1 = Series("6.1", _feature(21, 5), 24, 8, paravirt="first", relocates=False)
_6_12 = Series("6.12", _feature(21, 6), 24, 11, call_thunks="after")
_7_2 = Series(
    "7.2", _feature(21, 10), 24, 11, one_choice=True, call_thunks="before", pads_jumps=True,
    endbr_poison=bytes.fromhex("0f1f40d6"), warn_trap=True, static_calls_ro=True,
)  # fmt: skip
SERIES = {series.name: series for series in (_5_10, _6_1, _6_12, _7_2)}

NOPS = [
    bytes.fromhex(text)
    for text in (
        "", "90", "6690", "0f1f00", "0f1f4000", "0f1f440000", "660f1f440000", "0f1f8000000000",
        "0f1f840000000000", "2e0f1f840000000000", "662e0f1f840000000000", "66662e0f1f840000000000",
    )
]  # fmt: skip
_K8 = [b"\x66" * (n - 1) + b"\x90" for n in range(5)]
_K8[0] = b""
K8_NOPS = [*_K8, _K8[3] + _K8[2], _K8[3] + _K8[3], _K8[4] + _K8[3], _K8[4] + _K8[4]]
K8_NOP5_ATOMIC = b"\x66\x66\x66\x66\x90"


def series_of(image: KernelImage) -> Series:
    """The series of a kernel; UnsupportedError if there is none for it."""
    match = re.match(r"(\d+\.\d+)", image.release)
    if not match or match[1] not in SERIES:
        known = ", ".join(SERIES)
        raise UnsupportedError(f"how Linux {image.release} patches itself is not known (known are {known})")
    series = SERIES[match[1]]
    _verify(image, series)
    return series


def _verify(image: KernelImage, series: Series) -> None:
    """What the file itself says of the series' properties."""
    try:
        words = image.btf.sizeof("struct cpuinfo_x86", "x86_capability") // 4
    except KeyError as why:
        raise UnsupportedError(f"the processor's capabilities are not described: {why}") from None
    if words != series.capability_words:
        raise UnsupportedError(
            f"{words} words of processor capabilities, {series.capability_words} were expected"
        )
    tables = {"p6nops": NOPS, "k8nops": K8_NOPS} if series.k8_nops else {"x86nops": NOPS}
    for symbol, nops in tables.items():
        va = image.symbols.get(symbol)
        expected = b"".join(nops[: series.nop_max + 1])
        if va is None or image.read(va, len(expected)) != expected:
            raise UnsupportedError(f"the table of NOPs ({symbol}) is not the one of Linux {series.name}")
