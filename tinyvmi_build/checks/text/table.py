"""text: the values of its C table."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.c_arrays import Arrays, array, numbers_of, u32_array
from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.text.golden import CodeTables, TextGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile

#: The numbers of a stretch of code (struct tv_text_code): the fields of CodeTables, but for jumps.
CODE_ARRAYS = tuple(field.name for field in fields(CodeTables) if field.name != "jumps")
JUMP = "<IHBB"


def table(golden: TextGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    rodata = kernel.section(".rodata")
    start = rodata.addr - golden.va
    arrays: Arrays = {
        "reloc_index": array(golden.pages.reloc_index),
        "relocs": array(golden.pages.relocs),
        "return_thunks": u32_array(golden.return_thunks),
        "pv_pointers": u32_array(golden.paravirt.pointers),
        "pv_functions": u32_array(golden.paravirt.functions),
        "ftrace_callers": u32_array(golden.ftrace.callers),
        "ftrace_functions": u32_array(golden.ftrace.functions),
        "ftrace_graph": u32_array(golden.ftrace.graph),
        **{name: array(getattr(golden.code, name)) for name in CODE_ARRAYS},
    }
    return {
        "golden": golden,
        "digests": golden.pages.digests(config),
        "lines": golden.pages.line_sums(),
        "arrays": arrays,
        "tables": CODE_ARRAYS,
        "jumps": list(struct.iter_unpack(JUMP, golden.code.jumps.data)),
        "ftrace_numbers": numbers_of(golden.ftrace),
        "kprobe_numbers": numbers_of(golden.kprobes),
        "registries": numbers_of(golden.registries),
        "poke": numbers_of(golden.poke),
        "rodata": (start, (start + rodata.size + PAGE - 1) // PAGE * PAGE),
    }
