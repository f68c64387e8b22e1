"""ro-after-init: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.c_arrays import Arrays, array
from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.lib.names import name_of
from tinyvmi_build.checks.ro_after_init.golden import BootNumber, RoAfterInitGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: RoAfterInitGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes; constants and encodings have parts of the arrays of all values and codes."""
    values: list[BootNumber] = []
    constants = []
    for constant in golden.constants:
        first = len(values)
        values += constant.values
        symbol = name_of(kernel, golden.va + constant.offset)
        entry = {"offset": constant.offset, "size": constant.size, "first": first, "end": len(values)}
        constants.append({**entry, "symbol": symbol})
    codes: list[bytes] = []
    encodings = []
    for encoding in golden.encodings:
        first = len(codes)
        codes += encoding.codes
        encodings.append(
            {"offset": encoding.offset, "size": encoding.size, "first": first, "end": len(codes)}
        )
    arrays: Arrays = {
        "reloc_index": array(golden.pages.reloc_index),
        "relocs": array(golden.pages.relocs),
        "run_index": array(golden.run_index),
    }
    return {
        "golden": golden,
        "first": golden.start - golden.va,
        "last_size": (golden.size - 1) % PAGE + 1,
        "digests": golden.pages.digests(config),
        "lines": golden.pages.line_sums(),
        "arrays": arrays,
        "runs": _pairs(golden.runs.values),
        "values": values,
        "constants": constants,
        "codes": codes,
        "encodings": encodings,
        "sites": _pairs(golden.sites.values),
    }


def _pairs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))
