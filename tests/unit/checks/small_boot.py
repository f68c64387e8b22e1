"""Golden values of `function-pointers`, `page-tables` and `ro-after-init` for a kernel of a few words."""

from __future__ import annotations

from tests.unit.checks.fake import TEXT
from tests.unit.checks.small_text import numbers
from tinyvmi_build.checks.function_pointers.golden import NO_SET, FunctionPointersGolden, PointerRule
from tinyvmi_build.checks.lib.digest_range import DigestRange
from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.checks.ro_after_init.golden import (
    BootConstant,
    BootEncoding,
    BootNumber,
    PerCpuArray,
    RoAfterInitGolden,
)
from tinyvmi_build.profile.encoding import Blob, U16s, U32s
from tinyvmi_build.profile.golden import GoldenValues

RO = TEXT + 0x20000


def golden() -> list[GoldenValues]:
    page_tables = numbers(PageTablesGolden, 8, pointers=(TEXT + 8,), per_cpu_moves=True)
    assert isinstance(page_tables, PageTablesGolden)
    return [
        FunctionPointersGolden(
            va=TEXT,
            functions=3,
            tables=0,
            rules=(PointerRule(1, 0, 1), PointerRule(2, NO_SET, 4)),
            sets=((0x100, 0x210),),
            pages=U32s.of([3, 9]),
            index=U32s.of([0, 2, 3]),
            slots=U16s.of([8, 4088, 16]),
            targets=U32s.of([0x100, 0x210, 0x100]),
        ),
        page_tables,
        RoAfterInitGolden(
            symbol="__start_ro_after_init",
            start=RO + 64,
            va=RO,
            size=4200,
            counts={},
            sites_at=256,
            array=PerCpuArray(1024, 16, BootNumber(TEXT, True)),
            nr_cpu_ids=TEXT + 24,
            constants=(
                BootConstant(512, 4, (BootNumber(1, False), BootNumber(2, False))),
                BootConstant(520, 8, (BootNumber(TEXT + 16, True),)),
            ),
            encodings=(BootEncoding(600, 3, (bytes.fromhex("0f1f00"), bytes.fromhex("0f01f9"))),),
            content=Blob(bytes(4200)),
            kinds=Blob(bytes(4200)),
            pages=DigestRange(
                sha256=Blob(bytes(64)),
                blake3=Blob(bytes(64)),
                lines=U16s(bytes(256)),
                reloc_index=U32s.of([0, 1, 1]),
                relocs=U16s.of([128]),
            ),
            run_index=U32s.of([0, 2, 2]),
            runs=U16s.of([0, 5 << 13 | 64, 256, 3 << 13 | 16]),
            sites=U32s.of([0x40, 0x1000, 0x48, 0x1001]),
        ),
    ]
