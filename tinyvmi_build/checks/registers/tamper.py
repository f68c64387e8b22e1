"""Changes for the `registers` check: registers of a paused guest, set from dom0."""

from __future__ import annotations

from collections.abc import Callable

from tinyvmi_build.checks.idt.golden import IdtGolden
from tinyvmi_build.checks.tamper import Guest, LiveRegisters, RegisterChange

WP = 1 << 16
BREAKPOINT_0 = 0x401  # DR7: the first breakpoint, for execution, on this task


def _none(guest: Guest) -> list[tuple[int, bytes]]:
    return []


def _symbol(register: str, name: str) -> Callable[[LiveRegisters], list[tuple[str, int]]]:
    return lambda guest: [(register, guest.profile.symbols.lookup(name) + guest.delta)]


def _idt(guest: LiveRegisters) -> list[tuple[str, int]]:
    """The writable table instead of its read-only alias: the same gates, and yet not where they belong."""
    return [("idt.base", guest.profile.golden(IdtGolden).table_va + guest.delta)]


def _write_protect(guest: LiveRegisters) -> list[tuple[str, int]]:
    return [("cr0", guest.register(0, "cr0") & ~WP)]


def _page_tables(guest: LiveRegisters) -> list[tuple[str, int]]:
    """A table that is none of the kernel's: the frame of its code."""
    return [("cr3", guest.register(0, "cr3") ^ 0x5000)]


def _breakpoint(guest: LiveRegisters) -> list[tuple[str, int]]:
    return [("dr0", guest.profile.symbols.lookup("do_nanosleep") + guest.delta), ("dr7", BREAKPOINT_0)]


def _user_breakpoint(guest: LiveRegisters) -> list[tuple[str, int]]:
    return [("dr0", 0x400000), ("dr7", BREAKPOINT_0)]


def _change(name: str, what: str, values: Callable[[LiveRegisters], list[tuple[str, int]]]) -> RegisterChange:
    return RegisterChange(name, "registers", what, _none, values=values)


CHANGES = [
    _change("register-lstar", "MSR_LSTAR to another entry", _symbol("lstar", "entry_SYSCALL_compat")),
    _change("register-cstar", "MSR_CSTAR to the 64-bit entry", _symbol("cstar", "entry_SYSCALL_64")),
    _change("register-sysenter", "SYSENTER to the 64-bit entry", _symbol("sysenter.eip", "entry_SYSCALL_64")),
    _change("register-sfmask", "interrupts stay on at system calls", lambda guest: [("sfmask", 0x47500)]),
    _change("register-idtr", "IDTR to the table's writable mapping", _idt),
    _change("register-cr0", "CR0.WP cleared", _write_protect),
    _change("register-cr3", "CR3 to a table that is not the kernel's", _page_tables),
    _change("register-breakpoint", "a breakpoint in the kernel", _breakpoint),
    RegisterChange("benign-register-breakpoint", None, "a debugger's breakpoint in a program", _none,
                   values=_user_breakpoint),
]  # fmt: skip

#: What a PV guest has registered with Xen, in the place of LSTAR and the IDT.
PV_CHANGES = [
    _change("register-syscall-callback", "system calls to another entry of the kernel",
            _symbol("callback.syscall", "xen_asm_exc_page_fault")),
    _change("register-event-callback", "events to another entry of the kernel",
            _symbol("callback.event", "xen_asm_exc_page_fault")),
    _change("register-trap", "the overflow trap to another exception's handler",
            _symbol("trap4", "xen_asm_exc_bounds")),
]  # fmt: skip
