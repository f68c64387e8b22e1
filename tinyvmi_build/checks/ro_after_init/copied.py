"""Structures of constants that the kernel copies over its pointers at boot, by what it runs on.

- `pv_ops` on Xen, as a PV guest (arch/x86/xen/*_pv.c, irq.c): `pv_ops.cpu = xen_cpu_ops.cpu` in 6.1 and
  6.12, `pv_ops.cpu = xen_cpu_ops` in 5.10.  Later each pointer is stored by itself: see `code_stores`.
- `x86_platform.hyper`, from the description of the hypervisor that was recognised
  (arch/x86/kernel/cpu/hypervisor.c, init_hypervisor_platform()), its empty members left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.code_stores import Written
from tinyvmi_build.checks.lib.unsupported import UnsupportedError

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

PV = "struct paravirt_patch_template"
PV_TEMPLATES = {"xen_cpu_ops": "cpu", "xen_irq_ops": "irq", "xen_mmu_ops": "mmu"}
HYPERVISOR, PLATFORM = "struct hypervisor_x86", "struct x86_platform_ops"


def copied(image: KernelImage) -> dict[int, Written]:
    """Link address of a pointer → what a template has for it."""
    found: dict[int, Written] = {}
    try:
        _paravirt(image, found)
        _hypervisor(image, found)
    except KeyError as why:
        raise UnsupportedError(f"what the kernel copies at boot is not described: {why}") from None
    return found


def _copy(image: KernelImage, found: dict[int, Written], to: int, template: int, size: int) -> None:
    for offset in range(0, size, 8):
        found.setdefault(to + offset, Written()).values.add(image.u64(template + offset))


def _paravirt(image: KernelImage, found: dict[int, Written]) -> None:
    pv_ops = image.symbols.get("pv_ops")
    for name, member in PV_TEMPLATES.items():
        template = image.symbols.get(name)
        if template is None or pv_ops is None:
            continue
        at = image.btf.offset(PV, member)
        # A template of the whole type, or of the member alone.
        whole = image.symbols.next_address(template) - template >= image.btf.sizeof(PV)
        _copy(image, found, pv_ops + at, template + at * whole, image.btf.sizeof(PV, member))


def _hypervisor(image: KernelImage, found: dict[int, Written]) -> None:
    platform = image.symbols.get("x86_platform")
    if platform is None or not image.btf.has_member(PLATFORM, "hyper"):
        return
    to = platform + image.btf.offset(PLATFORM, "hyper")
    runtime, size = image.btf.offset(HYPERVISOR, "runtime"), image.btf.sizeof(HYPERVISOR, "runtime")
    names = {symbol.name for symbol in image.symbols if symbol.name.startswith("x86_hyper_")}
    for name in sorted(names - {"x86_hyper_type"}):
        template = image.symbols.lookup(name)
        if image.symbols.next_address(template) - template < image.btf.sizeof(HYPERVISOR):
            continue
        for offset in range(0, size, 8):
            value = image.u64(template + runtime + offset)
            if value:
                found.setdefault(to + offset, Written()).values.add(value)
