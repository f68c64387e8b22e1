"""Whatever bytes a parser gets: an answer or one clear error, nothing else, and soon."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.kernel import writers
from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.bzimage import unpack_bzimage, unpack_payload
from tinyvmi_build.kernel.elf import ElfFile
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.kallsyms import parse_kallsyms
from tinyvmi_build.kernel.package import KernelFile, kernel_in
from tinyvmi_build.kernel.relocs import parse_relocations

SMALL = {layout: writers.vmlinux(layout) for layout in writers.LAYOUTS}
TABLES = {
    layout: writers.kallsyms(writers.symbols(layout), layout, writers.RODATA) for layout in writers.LAYOUTS
}
BTF = writers.sample_btf()
PACKED = {name: writers.payload(bytes(range(256)) * 64, name) for name in writers.COMPRESSORS}
PLACE = Path("k.deb")
KERNEL = writers.bzimage(writers.payload(SMALL["6.12"], "zstd"))
DEBS = {c: writers.deb({"./boot/vmlinuz-1": KERNEL}, c) for c in ("none", "gz", "xz", "zst")}

#: Where to change, as a fraction of the length, and what to put there.
changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=8
)
cut = st.one_of(st.just(1.0), st.floats(0, 1))


def mutate(data: bytes, edits: list[tuple[float, bytes]], keep: float) -> bytes:
    out = bytearray(data)
    for place, new in edits:
        at = int(place * len(out))
        out[at : at + len(new)] = new
    return bytes(out[: int(keep * len(out))])


def use_btf(btf: Btf) -> None:
    for ask in (
        lambda: len(btf),
        lambda: btf.offset("task_struct", "comm"),
        lambda: btf.sizeof("task_struct", "pairs"),
        lambda: btf.sizeof("word_t"),
        lambda: btf.array_length("task_struct", "pairs"),
        lambda: btf.enum("wide"),
        lambda: btf.enum_value("system_states", "SYSTEM_RUNNING"),
        lambda: btf.member("idt_bits", "dpl"),
    ):
        with contextlib.suppress(TinyVMIError):
            ask()


def use(data: bytes) -> None:
    with contextlib.suppress(TinyVMIError):
        image = KernelImage(KernelFile("fuzz", data, None))
        use_btf(image.btf)
        for s in list(image.symbols)[:50]:
            image.symbols.nearest(s.address)
            with contextlib.suppress(TinyVMIError):
                image.read(s.address, 64)
        for section in image.elf.loaded_sections:
            image.elf.digest(section)
        image.relocs_in(image.text_va, image.end_va)


@given(st.binary(max_size=2000))
@settings(max_examples=200)
def test_arbitrary_bytes(data):
    for parse in (
        lambda d: ElfFile(d, "k"),
        lambda d: ElfFile(b"\x7fELF\2\1\1" + d, "k"),
        lambda d: unpack_bzimage(d, "k"),
        lambda d: parse_kallsyms(d, 0, "k"),
        lambda d: parse_relocations(bytes(4) + d, "k"),
        lambda d: use_btf(Btf(BTF[:24] + d, "k")),
        lambda d: kernel_in(d, PLACE),
        lambda d: kernel_in(b"!<arch>\n" + d, PLACE),
    ):
        with contextlib.suppress(TinyVMIError):
            parse(data)


@given(changes, cut, st.sampled_from(writers.LAYOUTS))
@settings(max_examples=150)
def test_changed_kernel(edits, keep, layout):
    use(mutate(SMALL[layout], edits, keep))


@given(st.lists(st.tuples(st.integers(0, 4096), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
@settings(max_examples=150)
def test_changed_headers(edits):
    """ELF and program headers, where a single byte matters."""
    data = bytearray(SMALL["6.1"])
    for at, new in edits:
        data[at % 600 : at % 600 + len(new)] = new
    use(bytes(data))


@given(changes, cut, st.sampled_from(writers.LAYOUTS))
@settings(max_examples=150)
def test_changed_kallsyms(edits, keep, layout):
    with contextlib.suppress(TinyVMIError):
        table = parse_kallsyms(mutate(TABLES[layout], edits, keep), writers.RODATA, "k")
        assert len(table) == len(list(table))


@given(changes, cut)
@settings(max_examples=300)
def test_changed_btf(edits, keep):
    with contextlib.suppress(TinyVMIError):
        use_btf(Btf(mutate(BTF, edits, keep), "k"))


@pytest.mark.parametrize("compression", writers.COMPRESSORS)
@given(edits=changes, keep=cut)
@example(edits=[(0.5, b"\0")], keep=0.0078125)
@settings(max_examples=60)
def test_changed_payload(compression, edits, keep):
    with contextlib.suppress(TinyVMIError):
        plain, _ = unpack_payload(mutate(PACKED[compression], edits, keep), "k")
        assert len(plain) <= 1 << 30


@pytest.mark.parametrize("compression", DEBS)
@given(edits=changes, keep=cut)
@example(edits=[(0.0, b"!")], keep=1.0)
@settings(max_examples=60)
def test_changed_package(compression, edits, keep):
    with contextlib.suppress(TinyVMIError):
        kernel_in(mutate(DEBS[compression], edits, keep), PLACE)


def test_bombs():
    """Little input that would unpack to very much stops at the size that it announces."""
    for compression in ("gzip", "bzip2", "xz", "lzma", "zstd"):
        packed = writers.payload(bytes(16 << 20), compression)
        with pytest.raises(TinyVMIError):
            unpack_payload(packed[:-4] + (1000).to_bytes(4, "little"), "k")


def test_kallsyms_made_to_keep_us_busy():
    """Thousands of counts, each followed by names that could go on for ever."""
    tokens = TABLES["6.12"]
    region = (300).to_bytes(8, "little") * 200_000 + tokens
    assert len(parse_kallsyms(region, writers.RODATA, "k")) > 0
    hostile = ((1 << 20) - 1).to_bytes(8, "little") + b"\1x" * 4_000_000
    broken = bytearray(tokens)
    broken[0:4] = b"\xff\xff\xff\xff"  # the true count is gone
    with pytest.raises(TinyVMIError, match="no kallsyms"):
        parse_kallsyms((hostile * 3)[: 24 << 20] + bytes(broken), 0, "k")
