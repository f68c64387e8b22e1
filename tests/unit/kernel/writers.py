"""Small real kernels, encoded from the formats' descriptions: what the parsers are tried on.

Not blobs and not copies of the parsers: each writer lays bytes out as the
kernel's build does (scripts/kallsyms.c, pahole, relocs.c, size_append).
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
from dataclasses import dataclass, field

import lz4.block
import zstandard

TEXT = 0xFFFFFFFF81000000
RODATA = TEXT + 0x2000
PER_CPU_LOAD = TEXT + 0xA0000  # where the per-CPU template, linked at 0, is loaded
BUILD_ID = bytes(range(0xA0, 0xB4))
BANNER = "Linux version 9.9.9-test (builder@example) (gcc) #1 SMP\n"
LAYOUTS = ("5.10", "6.1", "6.12", "7.0")
LONG_NAME = "a_name_too_long_for_one_byte_" + "Xy" * 90


def up(value: int, align: int) -> int:
    return -(-value // align) * align


# kallsyms


def _tokens() -> list[bytes]:
    pairs = [b"filler_", b"sys_", b"__start_", b"init", b"ro", b"da", b"ta"]
    tokens = []
    for i in range(256):
        if chr(i).isalnum() and i < 128 or chr(i) in "_.":
            tokens.append(bytes([i]))
        else:
            tokens.append(pairs.pop() if pairs else b"zq%d" % i)
    return tokens


def _compress(name: bytes, tokens: list[bytes]) -> bytes:
    out = bytearray()
    while name:
        token = max((t for t in tokens if name.startswith(t)), key=len)
        out.append(tokens.index(token))
        name = name[len(token) :]
    length = bytes([len(out)]) if len(out) < 128 else bytes([len(out) & 0x7F | 0x80, len(out) >> 7])
    return length + bytes(out)


def kallsyms(symbols: list[tuple[int, str, str]], layout: str, va: int) -> bytes:
    """Tables of (address, type, name) for a region that starts at `va`, in the manner of `layout`."""
    align = 4 if layout == "7.0" else 8
    symbols = sorted(symbols, key=lambda s: s[0])
    tokens = _tokens()
    names, markers = bytearray(), []
    for i, (_, kind, name) in enumerate(symbols):
        if i % 256 == 0:
            markers.append(len(names))
        names += _compress((kind + name).encode(), tokens)
    starts, at = [], 0
    for token in tokens:
        starts.append(at)
        at += len(token) + 1

    def padded(data: bytes) -> bytes:
        return bytes(data).ljust(up(len(data), align), b"\0")

    low = min(address for address, _, _ in symbols if address >> 63)
    offsets = [address if not address >> 63 else low - 1 - address for address, _, _ in symbols]
    base = struct.pack("<Q", low)
    count = padded(struct.pack("<I", len(symbols)))
    marks = padded(struct.pack(f"<{len(markers)}I", *markers))
    token_table = padded(b"".join(t + b"\0" for t in tokens))
    token_index = struct.pack("<256H", *starts)
    seqs = padded(b"\1\2\3" * len(symbols))
    values = padded(struct.pack(f"<{len(offsets)}i", *offsets))
    if layout == "5.10":
        return values + base + count + padded(names) + marks + token_table + token_index
    if layout == "6.1":
        return values + base + count + padded(names) + marks + seqs + token_table + token_index
    head = count + padded(names) + marks + token_table + token_index
    if layout == "6.12":
        return head + values + base + seqs
    places = [address - (va + len(head) + 4 * i) for i, (address, _, _) in enumerate(symbols)]
    return head + struct.pack(f"<{len(places)}i", *places) + seqs


# BTF


@dataclass
class BtfWriter:
    """Types in the order of their ids; each add_* returns the id."""

    types: bytearray = field(default_factory=bytearray)
    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    count: int = 0

    def _name(self, name: str) -> int:
        if not name:
            return 0
        at = len(self.strings)
        self.strings += name.encode() + b"\0"
        return at

    def add(self, kind: int, name: str, value: int, vlen: int = 0, flag: int = 0, tail: bytes = b"") -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack("<III", self._name(name), info, value) + tail
        self.count += 1
        return self.count

    def integer(self, name: str, size: int) -> int:
        return self.add(1, name, size, tail=struct.pack("<I", size * 8))

    def array(self, element: int, count: int, index: int) -> int:
        return self.add(3, "", 0, tail=struct.pack("<III", element, index, count))

    def struct(self, name: str, size: int, members: list[tuple[str, int, int]], union: bool = False) -> int:
        """Members as (name, type id, bit offset)."""
        tail = b"".join(struct.pack("<III", self._name(n), t, o) for n, t, o in members)
        return self.add(5 if union else 4, name, size, len(members), tail=tail)

    def bits(self, name: str, size: int, members: list[tuple[str, int, int, int]]) -> int:
        """A structure with bit fields: (name, type id, bit offset, bits)."""
        tail = b"".join(struct.pack("<III", self._name(n), t, w << 24 | o) for n, t, o, w in members)
        return self.add(4, name, size, len(members), flag=1, tail=tail)

    def enum(self, name: str, values: dict[str, int], signed: bool = False) -> int:
        tail = b"".join(struct.pack("<Ii", self._name(n), v) for n, v in values.items())
        return self.add(6, name, 4, len(values), flag=int(signed), tail=tail)

    def enum64(self, name: str, values: dict[str, int], signed: bool = False) -> int:
        tail = b"".join(
            struct.pack("<III", self._name(n), v & 0xFFFFFFFF, v >> 32 & 0xFFFFFFFF)
            for n, v in values.items()
        )
        return self.add(19, name, 8, len(values), flag=int(signed), tail=tail)

    def data(self) -> bytes:
        sizes = (24, 0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, *sizes) + self.types + self.strings


def sample_btf() -> bytes:
    w = BtfWriter()
    u64, u8 = w.integer("unsigned long", 8), w.integer("char", 1)
    name = w.array(u8, 16, u64)
    word = w.add(8, "word_t", u64)
    pointer = w.add(2, "", 0)
    inner = w.struct("", 16, [("comm", name, 0), ("serial", word, 64)], union=True)
    pair = w.struct("pair", 16, [("first", u64, 0), ("second", pointer, 64)])
    grid = w.array(w.array(pair, 3, u64), 2, u64)
    w.struct("task_struct", 136, [("flags", w.add(10, "", u64), 0), ("", inner, 64), ("pairs", grid, 192)])
    w.bits("idt_bits", 2, [("ist", u8, 0, 3), ("dpl", u8, 5, 2), ("plain", u8, 8, 0)])
    w.enum("system_states", {"SYSTEM_BOOTING": 0, "SYSTEM_RUNNING": 3, "SYSTEM_SUSPEND": 7})
    w.enum("signs", {"MINUS": -1}, signed=True)
    w.enum64("wide", {"HIGH": 1 << 40, "LOW": -2}, signed=True)
    w.add(8, "pair", pair)  # a typedef with the name of a tag
    return w.data()


# ELF


def elf(sections: list[tuple[str, int, int, bytes, int]], *, machine: int = 62) -> bytes:
    """From (name, sh_type, address, bytes, size in memory): one PT_LOAD each, a PT_NOTE for notes."""
    phdrs, shdrs, body = [], [bytes(64)], bytearray()
    names = bytearray(b"\0")
    start = 4096
    for name, kind, addr, data, size in sections:
        offset = start + len(body)
        body += data.ljust(up(len(data), 16), b"\0")
        paddr = (addr if addr >= TEXT else PER_CPU_LOAD + addr) - TEXT + 0x1000000
        phdrs.append(struct.pack("<IIQQQQQQ", 1, 5, offset, addr, paddr, len(data), size, 4096))
        if kind == 7:
            phdrs.append(struct.pack("<IIQQQQQQ", 4, 4, offset, addr, paddr, len(data), len(data), 4))
        shdrs.append(struct.pack("<IIQQQQIIQQ", len(names), kind, 2, addr, offset, size, 0, 0, 16, 0))
        names += name.encode() + b"\0"
    strings_at = start + len(body)
    shdrs.append(struct.pack("<IIQQQQIIQQ", len(names), 3, 0, 0, strings_at, len(names) + 10, 0, 0, 1, 0))
    names += b".shstrtab\0"
    body += names.ljust(up(len(names), 16), b"\0")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1",
        *(2, machine, 1, TEXT, 64, start + len(body), 0, 64, 56, len(phdrs), 64, len(shdrs), len(shdrs) - 1),
    )
    return (header + b"".join(phdrs)).ljust(start, b"\0") + body + b"".join(shdrs)


def relocations(r64: list[int], r32: list[int], inverse: list[int] | None = None) -> bytes:
    words = [0, *r64, *([] if inverse is None else [0, *inverse]), 0, *r32]
    return struct.pack(f"<{len(words)}I", *(word & 0xFFFFFFFF for word in words))


NEEDED = {
    "_text": (TEXT, "T"),
    "startup_64": (TEXT, "T"),
    "local_alias": (TEXT + 0x100, "t"),
    "sys_alpha": (TEXT + 0x100, "T"),
    "__start_rodata": (RODATA, "R"),
    "linux_banner": (RODATA + 0x40, "D"),
    "sys_call_table": (RODATA + 0x100, "D"),
    "after_table": (RODATA + 0x110, "D"),
    "__start_ro_after_init": (RODATA + 0x1000, "D"),
    "phys_base": (TEXT + 0x100000, "D"),
    "modprobe_path": (TEXT + 0x100040, "D"),
    "system_state": (TEXT + 0x100800, "B"),
    "init_top_pgt": (TEXT + 0x101000, "B"),
    "_end": (TEXT + 0x110000, "B"),
    "twin": (TEXT + 0x200, "t"),
    LONG_NAME: (TEXT + 0x300, "T"),
    "__per_cpu_start": (0, "A"),
    "current_thing": (0x40, "A"),
    "__per_cpu_end": (0x1000, "A"),
}


def symbols(layout: str) -> list[tuple[int, str, str]]:
    found = [(address, kind, name) for name, (address, kind) in NEEDED.items()]
    found += [(TEXT + 0x280, "t", "twin")]
    found += [(TEXT + 0x400 + 8 * i, "t", f"filler_{i}") for i in range(600)]
    if layout == "7.0":  # per-CPU variables have addresses of their own since 6.15
        found = [(a if a >> 63 else TEXT + 0x108000 + a, "D" if k == "A" else k, n) for a, k, n in found]
    return found


def vmlinux(
    layout: str = "6.1", *, with_kallsyms: bool = True, btf: bytes | None = None, build_id: bytes = BUILD_ID,
    tail: bytes | None = None, banner: str = BANNER, without: str = "",
) -> bytes:  # fmt: skip
    """A kernel that a profile can be built from; `without` leaves one section out."""
    rodata = bytearray(0x1000)
    rodata[0x40 : 0x40 + len(banner) + 1] = banner.encode() + b"\0"
    rodata[0x100:0x110] = struct.pack("<QQ", TEXT + 0x100, TEXT + 0x200)
    if with_kallsyms:
        rodata += kallsyms(symbols(layout), layout, RODATA + 0x1000)
    note = struct.pack("<III4s", 4, len(build_id), 3, b"GNU\0") + build_id
    xen = struct.pack("<III4sQ", 4, 8, 3, b"Xen\0", TEXT)  # also a type 3, of another owner
    data = bytearray(0x100)
    data[0x40:0x50] = b"/sbin/modprobe\0\0"
    btf = sample_btf() if btf is None else btf
    parts = [
        (".data..percpu", 1, 0, bytes(range(16)) * 0x100, 0x1000),
        (".text", 1, TEXT, bytes(range(256)) * 32, 0x2000),
        (".rodata", 1, RODATA, bytes(rodata), len(rodata)),
        (".notes", 7, TEXT + 0x80000, xen + note, len(xen + note)),
        (".BTF", 1, TEXT + 0x90000, btf, len(btf)),
        (".data", 1, TEXT + 0x100000, bytes(data), len(data)),
        (".bss", 8, TEXT + 0x100800, b"", 0xF800),
    ]
    inverse = None if layout == "7.0" else [TEXT + 0x20]
    default = relocations([RODATA + 0x108, RODATA + 0x100], [TEXT + 0x10], inverse)
    return elf([p for p in parts if p[0] != without]) + (default if tail is None else tail)


# bzImage and package


def _lz4_legacy(data: bytes) -> bytes:
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[at : at + (8 << 20)], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out


_XZ = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
COMPRESSORS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32, filters=_XZ),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "lz4": _lz4_legacy,
    "zstd": lambda data: zstandard.ZstdCompressor(level=3).compress(data),
}


def payload(data: bytes, compression: str) -> bytes:
    packed = COMPRESSORS[compression](data)
    return packed if compression == "gzip" else packed + struct.pack("<I", len(data))


def bzimage(packed: bytes, version: int = 0x20F) -> bytes:
    """A boot image around a payload: two setup sectors, some decompressor code, payload, more code."""
    head = bytearray(3 * 512)
    head[0x1F1] = 2
    head[0x1FE:0x200] = b"\x55\xaa"
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, version)
    head[0x236] = 1  # XLF_KERNEL_64
    struct.pack_into("<II", head, 0x248, 0x80, len(packed))
    return bytes(head) + b"\x90" * 0x80 + packed + b"\x90" * 64


def tarball(files: dict[str, bytes], folders: tuple[str, ...] = ("./", "./boot/")) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def deb(files: dict[str, bytes], compression: str = "xz", control: str = "") -> bytes:
    """A Debian package with `files`; compression "none", "gz", "xz" or "zst"."""
    suffix, pack = {
        "none": ("", bytes),
        "gz": (".gz", gzip.compress),
        "xz": (".xz", lzma.compress),
        "zst": (".zst", zstandard.ZstdCompressor().compress),
    }[compression]
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(tarball({"./control": control.encode()})) if control else b"odd"),
        ("data.tar" + suffix, pack(tarball(files))),
    ]
    out = b"!<arch>\n"
    for name, data in members:
        out += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
            + data
            + b"\n" * (len(data) % 2)
        )
    return out
