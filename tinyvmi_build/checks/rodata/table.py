"""rodata: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.rodata.golden import RodataGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: RodataGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    return {
        "symbol": golden.symbol,
        "va": golden.va,
        "last_size": (golden.size - 1) % PAGE + 1,
        "cuts": golden.cuts,
        "digests": golden.pages.digests(config),
        "lines": golden.pages.line_sums(),
        "reloc_index": golden.pages.reloc_index.values,
        "relocs": golden.pages.relocs.values,
    }
