"""Golden values of `text` for a kernel of one page with one site of each kind."""

from __future__ import annotations

import dataclasses
import struct

from tests.unit.checks.fake import TEXT
from tinyvmi_build.checks.lib.digest_range import DigestRange
from tinyvmi_build.checks.text.golden import (
    Caller,
    CodeTables,
    Features,
    Ftrace,
    Kprobes,
    NativePatch,
    NumberedShape,
    Paravirt,
    Poke,
    Registries,
    RuntimeConstant,
    RuntimeConstants,
    StaticCalls,
    Template,
    TextGolden,
)
from tinyvmi_build.profile.encoding import Blob, U8s, U16s, U32s

SIZE = 4096


def numbers(kind: type, value: int, **known: object) -> object:
    """A dataclass of numbers: those that are not `known` are `value`, lists are empty."""
    empty = {"int": value, "bool": False, "bytes": b""}
    values = {f.name: empty.get(str(f.type), ()) for f in dataclasses.fields(kind)}
    return kind(**(values | known))


def code() -> CodeTables:
    sites = [kind << 12 | 64 * kind for kind in range(12)]
    return CodeTables(
        site_index=U32s.of([0, len(sites)]),
        sites=U16s.of(sites),
        args=U16s.of([0, 0x13, 0x600, 0, 0, 0, 0]),
        jumps=Blob(struct.pack("<IHBB", 200, 0, 5, 1)),
        jump_keys=U32s.of([0x2020]),
        call_keys=U32s.of([0x2030]),
        call_index=U32s.of([0, 1]),
        call_gaps=U8s(bytes([0x28])),
        function_index=U32s.of([0, 2]),
        functions=U16s.of([64, 80]),
    )


def golden() -> TextGolden:
    known = {
        "symbol": "_text",
        "va": TEXT,
        "size": SIZE,
        "series": "6.1",
        "features": Features(retpoline=364, lfence=365, rethunk=366, its=678, call_depth=371),
        "return_thunks": (16, 32),
        "paravirt": numbers(
            Paravirt,
            0,
            pointers=(0x2000,),
            functions=(64, 80),
            native=(NativePatch(0, bytes.fromhex("579d"), 64),),
            nop=96,
            iret=0xFFFF,
        ),
        "static_calls": StaticCalls(ret0=112, warn=0, empty=0),
        "constants": RuntimeConstants((RuntimeConstant("d_hash_shift", 1, 0x2010),), 0, 0),
        "ftrace": numbers(
            Ftrace,
            8,
            ops_list=1,
            list_end=2,
            callers=(128, 256),
            functions=(144,),
            templates=(Caller(128, 96, 16, 32, 0), Caller(256, 128, 16, 32, 64)),
        ),
        "kprobes": numbers(Kprobes, 3, buckets=64, template=bytes.fromhex("549c0f1f009d")),
        "registries": Registries(bpf_list=4, klp_list=5),
        "poke": numbers(Poke, 0, vector=6, count=7),
        "shapes": (NumberedShape(3, (308,), (0, 1)), NumberedShape(5, (), (2,))),
        "templates": (
            Template(bytes.fromhex("0f1f00"), ()),
            Template(bytes.fromhex("0f01ca"), ()),
            Template(bytes.fromhex("e800000000"), ((1, 0, 4294967295),)),
        ),
        "call_pad": Template(bytes.fromhex("6548c13d0000000005"), ((4, 0, 4096), (4, 5, 0))),
        "endbr_poison": bytes.fromhex("660f1f00"),
        "int3_after_jump": True,
        "counts": {},
        "content": Blob(b""),
        "pages": DigestRange(
            sha256=Blob(bytes(32)),
            blake3=Blob(bytes(32)),
            lines=U16s(bytes(128)),
            reloc_index=U32s.of([0, 1]),
            relocs=U16s.of([1 << 14 | 40]),
        ),
        "code": code(),
    }
    made = numbers(TextGolden, 24, **known)
    assert isinstance(made, TextGolden)
    return made
