"""Golden values: what a kernel package says that the running kernel must look like.

One module a check, named as the check is (dashes become underscores), each
with `golden(image) -> dict` (JSON) and, where values are large, `blobs(image)`.
A kernel whose mechanism a module does not know makes `{"unknown": reason}`:
the monitor then answers *unverifiable* with that reason, never a false verdict.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Checks that a monitor can make; config.model.Checks says in which order.
CHECKS = (
    *("identity", "syscall-table", "idt", "policy-globals", "rodata", "text"),
    *("function-pointers", "page-tables", "ro-after-init", "modules", "registers"),
)


def has_table(check: str) -> bool:
    """Whether the check has golden values of its own in C."""
    return (Path(__file__).parent / check.replace("-", "_") / "table.c.j2").exists()


def compute(image: KernelImage) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Golden values of `image` by check name, and their large tables by blob name.

    `kernel` stands beside the checks: what discovery needs.  It has no
    *unknown*: a kernel without it cannot be found, which raises UsageError.
    """
    from tinyvmi_build.checks.function_pointers import golden as function_pointers
    from tinyvmi_build.checks.identity import golden as identity
    from tinyvmi_build.checks.idt import golden as idt
    from tinyvmi_build.checks.modules import golden as modules
    from tinyvmi_build.checks.page_tables import golden as page_tables
    from tinyvmi_build.checks.policy_globals import golden as policy_globals
    from tinyvmi_build.checks.registers import golden as registers
    from tinyvmi_build.checks.ro_after_init import golden as ro_after_init
    from tinyvmi_build.checks.rodata import golden as rodata
    from tinyvmi_build.checks.syscall_table import golden as syscall_table
    from tinyvmi_build.checks.text import golden as text

    golden: dict[str, Any] = {"kernel": identity.kernel(image)}
    blobs: dict[str, bytes] = {}
    makers = {
        "identity": identity,
        "syscall-table": syscall_table,
        "idt": idt,
        "policy-globals": policy_globals,
        "rodata": rodata,
        "text": text,
        "function-pointers": function_pointers,
        "page-tables": page_tables,
        "ro-after-init": ro_after_init,
        "modules": modules,
        "registers": registers,
    }
    for check in CHECKS:
        try:
            golden[check] = makers[check].golden(image)
            blobs.update(getattr(makers[check], "blobs", lambda _: {})(image))
        except Unknown as why:
            golden[check] = {"unknown": str(why)}
    return golden, blobs
