"""page-tables: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.page_tables.golden import PageTablesGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: PageTablesGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    return {"golden": golden, "pointers": golden.pointers}
