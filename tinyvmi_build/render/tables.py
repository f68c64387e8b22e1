"""The golden values of each kernel as C: what the checks of a monitor compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks import registry
from tinyvmi_build.profile.golden import Unsupported

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


@dataclass(frozen=True)
class GoldenRow:
    """A check's golden values: in a table of their own, or the reason why there are none, or neither."""

    name: str
    reason: str
    table: bool


def kernel_context(index: int, kernel: KernelProfile) -> Mapping[str, object]:
    """Values of `templates/c/profiles.*.j2` for one kernel."""
    rows = []
    for check in registry.checks():
        reason = kernel.unsupported(check.name)
        rows.append(GoldenRow(check.name, reason, bool(check.table) and not reason))
    return {
        "index": index,
        "release": kernel.release,
        "build_id": kernel.build_id,
        "build_id_bytes": bytes.fromhex(kernel.build_id),
        "found": kernel.discovery,
        "tracked_size": _tracked_size(kernel),
        "golden": rows,
    }


def _tracked_size(kernel: KernelProfile) -> int:
    """Bytes from _text to the end of what incremental checks follow."""
    ends = [
        check.tracked_end(values)
        for check in registry.checks()
        if check.tracked_end and not isinstance(values := kernel.values(check.golden), Unsupported)
    ]
    return max(ends, default=kernel.text_va) - kernel.text_va


def tables(config: Config, kernel: KernelProfile) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """(identifier, template, its values) of each check that has a table and supports the kernel."""
    for check in registry.checks():
        template = registry.template(check, "table.c.j2")
        if check.table is None or template is None:
            continue
        values = kernel.values(check.golden)
        if not isinstance(values, Unsupported):
            yield check.identifier, template, check.table(values, kernel, config)
