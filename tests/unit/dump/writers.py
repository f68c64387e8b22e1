"""Small memory images in each format, written from the formats' descriptions."""

from __future__ import annotations

import struct
from collections.abc import Sequence

PAGE = 4096
Piece = tuple[int, bytes]  # guest-physical address, content


def ident() -> bytes:
    return b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)


def elf_core(pieces: Sequence[Piece], *, xnum: bool = False, machine: int = 62, kind: int = 4) -> bytes:
    """As QEMU's dump/dump.c: headers, then the memory, not aligned to anything."""
    count = len(pieces)
    at = 64 + 56 * count + (64 if xnum else 0)
    headers, body = b"", b""
    for address, content in pieces:
        headers += struct.pack("<IIQQQQQQ", 1, 0, at + len(body), 0, address, len(content), len(content), 0)
        body += content
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if xnum else b""
    shoff = 64 + 56 * count if xnum else 0
    numbers = (64, 56, 0xFFFF if xnum else count, 64, 1 if xnum else 0, 0)
    head = struct.pack("<16sHHIQQQIHHHHHH", ident(), kind, machine, 1, 0, 64, shoff, 0, *numbers)
    return head + headers + section + body


def xen_core(pieces: Sequence[Piece], *, pv: bool = False, drop: str = "", page: int = PAGE) -> bytes:
    """As xen/docs/misc/dump-core-format says: sections, the pages aligned, the frame numbers behind them."""
    pages = [
        (address // PAGE + i // PAGE, content[i : i + PAGE])
        for address, content in pieces
        for i in range(0, len(content), PAGE)
    ]
    frames = b"".join(struct.pack("<QQ" if pv else "<Q", gfn, *([gfn] if pv else [])) for gfn, _ in pages)
    table = ".xen_p2m" if pv else ".xen_pfn"
    bodies = {".xen_pages": b"".join(content for _, content in pages), table: frames}
    bodies.pop(drop, None)
    names = b"\0" + b"".join(name.encode() + b"\0" for name in bodies) + b".shstrtab\0"
    at = PAGE
    sections = [bytes(64)]
    for name, body in bodies.items():
        each = page if name == ".xen_pages" else 16 if pv else 8
        start = names.index(name.encode())
        sections.append(struct.pack("<IIQQQQIIQQ", start, 1, 0, 0, at, len(body), 0, 0, 1, each))
        at += len(body)
    sections.append(
        struct.pack("<IIQQQQIIQQ", names.index(b".shstrtab"), 3, 0, 0, at, len(names), 0, 0, 1, 0)
    )
    count = len(sections)
    head = struct.pack("<16sHHIQQQIHHHHHH", ident(), 4, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, count, count - 1)
    return (head + b"".join(sections)).ljust(PAGE, b"\0") + b"".join(bodies.values()) + names


def lime(pieces: Sequence[Piece]) -> bytes:
    """As LiME's documentation says."""
    return b"".join(
        struct.pack("<4sIQQ8x", b"EMiL", 1, address, address + len(content) - 1) + content
        for address, content in pieces
    )


def _kdump_pieces(pages: Sequence[bytes], gap: int) -> list[Piece]:
    """(offset, content) in the order in which makedumpfile writes them: the descriptors come late."""
    count = len(pages)
    names = [b"Linux", b"guest", b"6.1.0", b"#1", b"x86_64", b"(none)"]
    head = b"KDUMP   " + struct.pack("<i", 6) + b"".join(name.ljust(65, b"\0") for name in names)
    head = head.ljust(408, b"\0") + bytes(16)
    head += struct.pack("<IiiIIIIIIi", 0, PAGE, 1, 2, count, 0, 0, 0, 0, 1)
    bitmap = ((1 << count) - 1).to_bytes(PAGE, "little")
    descriptors_at = 4 * PAGE
    data_at = descriptors_at + 24 * count + gap
    descriptors = (struct.pack("<qIIQ", data_at + i * PAGE, PAGE, 0, 0) for i in range(count))
    return [
        (0, head),
        (PAGE, bytes(96) + struct.pack("<Q", count)),
        (2 * PAGE, bitmap),
        (3 * PAGE, bitmap),
        (data_at, b"".join(pages)),
        (descriptors_at, b"".join(descriptors)),
    ]


def kdump(pages: Sequence[bytes], gap: int = 0) -> bytes:
    """Uncompressed, version 6 (makedumpfile's IMPLEMENTATION), `gap` bytes of nothing before the pages."""
    out = bytearray()
    for at, content in _kdump_pieces(pages, gap):
        out.extend(bytes(max(0, at + len(content) - len(out))))
        out[at : at + len(content)] = content
    return bytes(out)


def flattened(pages: Sequence[bytes]) -> bytes:
    """The same as `makedumpfile -F` writes it: pieces with their offsets."""
    head = (b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)).ljust(PAGE, b"\0")
    pieces = b"".join(
        struct.pack(">qq", at, len(content)) + content for at, content in _kdump_pieces(pages, 0)
    )
    return head + pieces + struct.pack(">qq", -1, -1)
