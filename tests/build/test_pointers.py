"""function-pointers and ro-after-init as computed from Debian's current cloud kernel."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tinyvmi_build.checks.function_pointers.pointer_rules import APIC, RULES
from tinyvmi_build.checks.function_pointers.pointers import Pointers
from tinyvmi_build.checks.ro_after_init import boot_values
from tinyvmi_build.checks.ro_after_init import golden as ro_after_init
from tinyvmi_build.checks.ro_after_init.section import Section
from tinyvmi_build.checks.ro_after_init.vdso import encodings
from tinyvmi_build.kernel.image import KernelImage


@pytest.fixture(scope="module")
def image(cloud_kernel: Path) -> KernelImage:
    return KernelImage.load(cloud_kernel)


@pytest.fixture(scope="module")
def pointers(image: KernelImage) -> Pointers:
    return Pointers(image)


@pytest.fixture(scope="module")
def rules(pointers: Pointers):
    return pointers.rules()


def names(image: KernelImage, values: set[int]) -> set[str]:
    return {symbol.name for value in values for symbol in image.symbols.at(image.text_va + value)}


def test_slots(image: KernelImage, pointers: Pointers) -> None:
    assert len(pointers.functions) > 10_000 and len(pointers.tables) > 400
    start, end = pointers.rodata
    assert not any(start <= va < end for va in pointers.functions)  # the check rodata has them
    assert all(image.u64(va) == target for va, target in pointers.functions.items())
    fops = image.symbols.lookup("proc_root_operations")
    assert fops in pointers.tables.values()
    assert image.symbols.lookup("linux_banner") not in pointers.tables.values()


def test_what_code_writes_is_allowed(image: KernelImage, rules) -> None:
    found = rules[image.symbols.lookup("pcibios_enable_irq")]
    assert names(image, found.values) >= {"acpi_pci_irq_enable"}
    assert not found.null and not found.foreign and not found.any_function
    assert "acpi_pci_irq_disable" not in names(image, found.values)


def test_most_slots_have_no_rule(pointers: Pointers, rules) -> None:
    """The rules are exceptions: nine slots in ten must hold the compiled value."""
    assert len(rules) * 8 < len(pointers.functions)
    assert not any(rule.any_function for rule in rules.values())
    keys = {va for va in rules if pointers._symbol(va).startswith("__SCK__")}
    assert len(rules.keys() - keys) < 400


def test_a_tracepoint_calls_probes_of_its_own_class(image: KernelImage, rules) -> None:
    allowed = names(image, rules[image.symbols.lookup("__SCK__tp_func_sched_switch")].values)
    assert {"trace_event_raw_event_sched_switch", "perf_trace_sched_switch", "probe_sched_switch"} <= allowed
    assert "trace_event_raw_event_sched_wakeup_template" not in allowed
    assert "vfs_read" not in allowed


def test_pv_ops_hold_what_a_hypervisors_support_writes(image: KernelImage, rules, pointers: Pointers) -> None:
    """Of Xen's templates the one value for this pointer, not any of them."""
    slot = next(
        va
        for va, target in pointers.functions.items()
        if pointers._symbol(va) == "pv_ops" and target == image.symbols.lookup("native_write_cr3")
    )
    allowed = names(image, rules[slot].values)
    assert "xen_write_cr3" in allowed
    assert allowed <= {"xen_write_cr3", "xen_write_cr3_init", "native_write_cr3"}
    assert not rules[slot].null


def test_a_hypervisors_description_is_copied(image: KernelImage, rules, section: Section) -> None:
    """x86_platform.hyper: a slot where it was compiled in, a constant of ro_after_init where it was empty."""
    hyper = image.symbols.lookup("x86_platform") + image.btf.offset("struct x86_platform_ops", "hyper")
    member = "runtime.pin_vcpu"
    runtime = image.btf.offset("struct hypervisor_x86", "runtime")
    slot = hyper + image.btf.offset("struct hypervisor_x86", member) - runtime
    assert names(image, rules[slot].values) == {"xen_pin_vcpu"}
    empty = hyper + image.btf.offset("struct hypervisor_x86", "runtime.sev_es_hcall_prepare") - runtime
    blank = next(blank for blank in section.blanks if blank.offset == empty - section.va)
    assert blank.kind == ro_after_init.CONSTANT
    assert (0, False) in blank.values
    assert (image.symbols.lookup("kvm_sev_es_hcall_prepare"), True) in blank.values


def test_apic_drivers_take_callbacks_of_the_same_type(image: KernelImage, rules, pointers: Pointers) -> None:
    slot = next(
        va
        for va in rules
        if pointers._symbol(va) == "apic_flat"
        and pointers.functions[va] == image.symbols.lookup("native_apic_mem_write")
    )
    allowed = names(image, rules[slot].values)
    assert "kvm_guest_apic_eoi_write" in allowed  # void (u32, u32)
    assert "native_apic_mem_read" not in allowed  # u32 (u32)


@pytest.mark.parametrize("rule", [*RULES, APIC], ids=lambda rule: rule.symbol[:30])
def test_each_rule_says_why(rule) -> None:
    assert rule.reason
    assert rule.values or rule.null or rule.foreign


def test_the_vdso_is_patched(image: KernelImage) -> None:
    found = encodings(image)
    assert found
    for (_, size), codes in found.items():
        assert len(codes) >= 2
        assert all(len(code) == size for code in codes)
    assert any(code.startswith(b"\x0f\x01\xf9") for codes in found.values() for code in codes)  # rdtscp


@pytest.fixture(scope="module")
def section(image: KernelImage) -> Section:
    return Section(image)


def test_every_byte_has_one_kind(section: Section) -> None:
    own = section.map[section.start - section.va :]
    assert sum(own.count(kind) for kind in ro_after_init.KINDS) == len(own) == section.end - section.start
    # What is not a boot value is checked against the package.
    assert own.count(ro_after_init.VALUE) < len(own) // 3
    for runs in section.runs():
        assert all(0 <= at < at + size <= 4096 for at, size, _ in runs)
        assert runs == sorted(runs)


def test_the_jump_table_is_sorted(image: KernelImage, section: Section) -> None:
    start, stop = (image.symbols.lookup(f"__{edge}___jump_table") for edge in ("start", "stop"))
    keys = []
    for va in range(start, stop, 16):
        code, _, key = struct.unpack_from("<iiq", section.data, va - section.va)
        keys.append(((va + 8 + key) & ~3, va + code))
    assert keys == sorted(keys)
    before = {image.read(va, 16) for va in range(start, stop, 16)}
    assert len(before) == len(keys)


def test_constants_hold_the_files_value_too(section: Section) -> None:
    constants = [blank for blank in section.blanks if blank.kind == ro_after_init.CONSTANT]
    assert constants
    for blank in constants:
        own = int.from_bytes(section.data[blank.offset : blank.offset + blank.size], "little")
        assert own in [value for value, _ in blank.values]


def test_boot_values_are_named() -> None:
    assert boot_values.is_boot_value("selinux_hooks")
    assert boot_values.is_boot_value("thermal_gnl_family")
    assert not boot_values.is_boot_value("idt_descr")
    assert not boot_values.is_boot_value("x86_platform")
    assert all(reason for _, reason in boot_values.BOOT_VALUES)
