"""A small ELF file with every table that the reader knows."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

SHDR = struct.Struct("<IIQQQQIIQQ")
SYM = struct.Struct("<IBBHQQ")


@dataclass
class Written:
    """Section headers as lists of their ten fields, to be changed before `data` is asked for."""

    kind: int = 1
    segments: list[bytes] = field(default_factory=list)
    headers: list[list[int]] = field(default_factory=lambda: [[0] * 10])
    body: bytearray = field(default_factory=lambda: bytearray(64))
    names: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    shnum: int | None = None
    shstrndx: int | None = None

    def add(
        self, name: str, kind: int, content: bytes, *, flags: int = 0, link: int = 0, info: int = 0
    ) -> int:
        """Add a section; its index."""
        self.headers.append([len(self.names), kind, flags, 0, len(self.body), len(content), link, info, 1, 0])
        self.names += name.encode() + b"\0"
        self.body += content
        return len(self.headers) - 1

    def data(self) -> bytes:
        index = self.add(".shstrtab", 3, b"")
        self.headers[index][5] = len(self.names)
        phoff = len(self.body) + len(self.names)
        shoff = phoff + 56 * len(self.segments)
        head = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\2\1\1",
            *(self.kind, 62, 1, 0x1234, phoff if self.segments else 0, shoff, 0, 64, 56, len(self.segments)),
            *(64, len(self.headers) if self.shnum is None else self.shnum),
            index if self.shstrndx is None else self.shstrndx,
        )
        self.body[:64] = head
        table = b"".join(SHDR.pack(*header) for header in self.headers)
        return bytes(self.body + self.names) + b"".join(self.segments) + table


def whole() -> Written:
    """.text with a relocation by a function, .bss, a library that is needed, a note, one segment."""
    written = Written()
    text = written.add(".text", 1, b"\x90" * 32, flags=6)
    strings = b"\0local.c\0run\0hook\0libc.so.6\0"
    names = written.add(".strtab", 3, strings)
    symbols = [
        SYM.pack(0, 0, 0, 0, 0, 0),
        SYM.pack(strings.index(b"local.c"), 4, 0, 0xFFF1, 0, 0),
        SYM.pack(strings.index(b"run"), 0x02, 0, text, 4, 9),
        SYM.pack(strings.index(b"hook"), 0x22, 0, 0, 0, 0),
    ]
    table = written.add(".symtab", 2, b"".join(symbols), link=names)
    written.add(".rela.text", 4, struct.pack("<QQq", 8, 3 << 32 | 4, -4), link=table, info=text)
    needed = struct.pack("<QQQQ", 1, strings.index(b"libc"), 0, 0)
    written.add(".dynamic", 6, needed, link=names)
    written.add(".note.gnu.build-id", 7, struct.pack("<III4s", 4, 20, 3, b"GNU\0") + bytes(20), flags=2)
    bss = written.add(".bss", 8, b"", flags=3)
    written.headers[bss][5] = 1 << 40
    written.segments.append(struct.pack("<IIQQQQQQ", 1, 5, 64, 0x1000, 0x1000, 32, 64, 4096))
    return written
