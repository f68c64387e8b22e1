"""function-pointers: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from tinyvmi_build.checks.function_pointers.golden import NO_SET, FunctionPointersGolden
from tinyvmi_build.checks.lib.c_arrays import Arrays, array, u32_array
from tinyvmi_build.checks.lib.names import name_of

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: FunctionPointersGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    addresses = golden.addresses()
    arrays: Arrays = {
        "pages": array(golden.pages),
        "page_index": array(golden.index),
        "slots": array(golden.slots),
        "targets": array(golden.targets),
        "set_index": u32_array(accumulate((len(values) for values in golden.sets), initial=0)),
        "set_values": u32_array(value for values in golden.sets for value in values),
    }
    return {
        "va": golden.va,
        "arrays": arrays,
        "rules": [
            {
                "slot": rule.slot,
                "set": "TV_POINTER_NO_SET" if rule.set == NO_SET else rule.set,
                "flags": rule.flags,
                "symbol": name_of(kernel, addresses[rule.slot]),
            }
            for rule in golden.rules
        ],
    }
