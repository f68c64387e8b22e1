"""A reader of a kernel's lists in a raw image, by the profile: what Volatility is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.profile.profile import KernelProfile

_PA = 0xFFFFFFFFFF000
_MAX = 100_000


class Reader:
    """The memory in `raw`, by kernel virtual address; `delta` and `root_pa` as the checker found them."""

    def __init__(self, raw: Path, profile: KernelProfile, delta: int, root_pa: int):
        self.data = raw.read_bytes()
        self.btf = Btf(profile.blob("btf"), "btf")
        self.profile = profile
        self.delta = delta
        self.root_pa = root_pa

    def pa(self, va: int) -> int:
        table = self.root_pa
        for shift in (39, 30, 21, 12):
            at = table + 8 * (va >> shift & 511)
            entry = int.from_bytes(self.data[at : at + 8], "little")
            assert entry & 1, f"{va:#x} is not mapped"
            if shift == 12 or entry & 0x80:
                return (entry & _PA & -(1 << shift)) | (va & (1 << shift) - 1)
            table = entry & _PA
        raise AssertionError

    def read(self, va: int, size: int) -> bytes:
        """Within one page."""
        assert va % 4096 + size <= 4096
        return self.data[self.pa(va) : self.pa(va) + size]

    def integer(self, va: int, size: int = 8) -> int:
        return int.from_bytes(b"".join(self.read(va + i, 1) for i in range(size)), "little")

    def text(self, va: int, size: int) -> str:
        raw = b"".join(self.read(va + i, 1) for i in range(size))
        return raw.split(b"\0")[0].decode("ascii")

    def symbol(self, name: str) -> int:
        return self.profile.symbols.lookup(name) + self.delta

    def list_of(self, head: int, type_name: str, member: str) -> Iterator[int]:
        """Addresses of the structures on the list at `head` (include/linux/list.h)."""
        offset = self.btf.offset(type_name, member)
        at = self.integer(head)
        for _ in range(_MAX):
            if at == head:
                return
            yield at - offset
            at = self.integer(at)
        raise AssertionError("the list does not end")

    def tasks(self) -> list[tuple[int, int, int, str]]:
        """(address, pid, parent's pid, comm) of each process but the idle task."""
        task = "struct task_struct"
        where = {
            name: self.btf.offset(task, name) for name in ("pid", "tgid", "comm", "real_parent", "tasks")
        }
        size = self.btf.sizeof(task, "comm")
        return [
            (
                at,
                self.integer(at + where["pid"], 4),
                self.integer(self.integer(at + where["real_parent"]) + where["tgid"], 4),
                self.text(at + where["comm"], size),
            )
            for at in self.list_of(self.symbol("init_task") + where["tasks"], task, "tasks")
        ]

    def modules(self) -> list[tuple[int, str]]:
        """(address, name) of each loaded module."""
        name = self.btf.offset("struct module", "name")
        return [
            (at, self.text(at + name, 56))
            for at in self.list_of(self.symbol("modules"), "struct module", "list")
        ]

    def gate(self, vector: int) -> int:
        """The handler in the IDT entry (struct gate_struct, arch/x86/include/asm/desc_defs.h)."""
        at = self.symbol("idt_table") + 16 * vector
        low, middle, high = self.integer(at, 2), self.integer(at + 6, 2), self.integer(at + 8, 4)
        return low | middle << 16 | high << 32
