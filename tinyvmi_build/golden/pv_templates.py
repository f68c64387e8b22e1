"""What a Xen PV guest copies into pv_ops at boot: whole structures of constants (arch/x86/xen/*_pv.c, irq.c).

`pv_ops.cpu = xen_cpu_ops.cpu` in 6.1 and 6.12, `pv_ops.cpu = xen_cpu_ops` in 5.10; since 6.19 or so each
pointer is stored by itself, which `code_stores` finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyvmi_build.golden.code_stores import Written
from tinyvmi_build.golden.unknown import Unknown

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

TYPE = "struct paravirt_patch_template"
TEMPLATES = {"xen_cpu_ops": "cpu", "xen_irq_ops": "irq", "xen_mmu_ops": "mmu"}


def copied(image: KernelImage) -> dict[int, Written]:
    """Link address of a pointer of pv_ops → what a template has for it."""
    found: dict[int, Written] = {}
    pv_ops = image.symbols.get("pv_ops")
    for name, member in TEMPLATES.items():
        template = image.symbols.get(name)
        if template is None or pv_ops is None:
            continue
        try:
            whole, at, size = (
                image.btf.sizeof(TYPE),
                image.btf.offset(TYPE, member),
                image.btf.sizeof(TYPE, member),
            )
        except KeyError as why:
            raise Unknown(f"pv_ops is not described: {why}") from None
        # A template of the whole type, or of the member alone.
        inside = at if image.symbols.next_address(template) - template >= whole else 0
        for offset in range(0, size, 8):
            written = found.setdefault(pv_ops + at + offset, Written())
            written.values.add(image.u64(template + inside + offset))
    return found
