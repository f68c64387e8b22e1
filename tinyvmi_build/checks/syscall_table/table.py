"""syscall-table: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.names import name_of
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: SyscallTableGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    return {
        "tables": [
            {
                "symbol": table.symbol,
                "va": table.va,
                "entries": [{"address": va, "symbol": name_of(kernel, va)} for va in table.expected],
            }
            for table in golden.tables
        ]
    }
