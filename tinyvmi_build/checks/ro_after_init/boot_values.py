"""What the kernel writes into `ro_after_init` while it boots by other ways than a store to a name.

Stores are found in the code (`code_stores`).  The rest is here by symbol, with
the kernel file that writes it; whatever no line names keeps the file's bytes.
"""

from __future__ import annotations

import re

#: (whole-name pattern of the symbol, who writes it)
BOOT_VALUES = (
    (r"\w+_hooks|static_calls_table", "security/security.c: hooks are linked to the hooked, and named"),
    (r"\w*blob_sizes|ipe_blobs", "security/security.c: sizes become offsets"),
    (r"\w*family|genl_ctrl", "net/netlink/genetlink.c: genl_register_family() numbers and links it"),
    (r"\w+_class|\w+_drv", "drivers/base: what is registered gets its private part"),
    (r"(page_offset|vmalloc|vmemmap)_base", "arch/x86/mm/kaslr.c: kernel_randomize_memory()"),
    (r"apic_\w+|x2apic_\w+|xen_pv_apic", "arch/x86/kernel/apic: what a driver leaves off here"),
    (r"ptrs_per_p4d|pgdir_shift", "arch/x86/boot/startup, kernel/head64.c: five levels"),
    ("__per_cpu_offset", "arch/x86/kernel/setup_percpu.c"),
    ("cpuid_to_apicid", "arch/x86/kernel/cpu/topology.c"),
    (r"xstate_\w+|xfeature_uncompact_order", "arch/x86/kernel/fpu/xstate.c: as the processor says"),
    ("sysvec_table", "arch/x86/entry/entry_fred.c: fred_install_sysvec()"),
    ("rdt_options", "arch/x86/kernel/cpu/resctrl: what errata switch off"),
    ("link_caps", "drivers/net/phy/phy_caps.c: phy_caps_init()"),
    ("power_supply_attrs", "drivers/power/supply/power_supply_sysfs.c: names are made"),
    (r"\w+_rules|\w+_rules_\w+", "security/integrity/ima/ima_policy.c: rules are linked into the policy"),
)

_ALL = re.compile("|".join(f"(?:{pattern})" for pattern, _ in BOOT_VALUES))


def is_boot_value(symbol: str) -> bool:
    """Whether the words of `symbol` that are no static pointers to functions are the boot's."""
    return bool(_ALL.fullmatch(symbol))
