"""A kernel image whose memory, symbols and relocations a test writes down."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tinyvmi_build.kernel.relocs import RelocKind

TEXT = 0xFFFFFFFF81000000


@dataclass
class FakeSymbols:
    names: dict[str, int]

    def lookup(self, name: str) -> int:
        return self.names[name]

    def get(self, name: str) -> int | None:
        return self.names.get(name)

    def next_address(self, va: int) -> int:
        return min(address for address in self.names.values() if address > va)


@dataclass
class FakeBtf:
    """struct idt_data as on x86-64 (vector, segment, bits, padding, addr), and one member of cpuinfo_x86."""

    def sizeof(self, name: str) -> int:
        return {"idt_data": 24}[name]

    def offset(self, name: str, member: str) -> int:
        known = {"vector": 0, "bits": 8, "addr": 16}
        return {**{("idt_data", m): at for m, at in known.items()}, CAPABILITIES: 40}[name, member]


CAPABILITIES = ("struct cpuinfo_x86", "x86_capability")


@dataclass
class FakeImage:
    symbols: FakeSymbols
    memory: dict[int, bytes] = field(default_factory=dict)
    relocs: list[tuple[int, RelocKind]] = field(default_factory=list)
    btf: FakeBtf = field(default_factory=FakeBtf)
    release: str = "6.1.0-fake"
    text_va: int = TEXT

    def read(self, va: int, size: int) -> bytes:
        out = bytearray(size)
        for start, data in self.memory.items():
            for i, byte in enumerate(data):
                if va <= start + i < va + size:
                    out[start + i - va] = byte
        return bytes(out)

    def u64(self, va: int) -> int:
        return int(struct.unpack("<Q", self.read(va, 8))[0])

    def u32(self, va: int) -> int:
        return int(struct.unpack("<I", self.read(va, 4))[0])

    def u16(self, va: int) -> int:
        return int(struct.unpack("<H", self.read(va, 2))[0])

    def cstr(self, va: int) -> str:
        return self.read(va, 256).split(b"\0")[0].decode()

    def relocs_in(self, start: int, end: int) -> list[tuple[int, RelocKind]]:
        return [(va, kind) for va, kind in sorted(self.relocs) if start <= va < end]
