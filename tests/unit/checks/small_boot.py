"""Golden values of `function-pointers`, `page-tables` and `ro-after-init` for a kernel of a few words."""

from __future__ import annotations

import struct
from typing import Any

from tests.unit.checks.fake import TEXT

RO = TEXT + 0x20000


def golden() -> dict[str, Any]:
    names = (
        "init_task", "init_mm", "efi", "capabilities", "per_cpu_offset", "nr_cpu_ids", "cpu_tlbstate",
        "tasks", "pid", "comm", "comm_size", "mm", "active_mm", "signal", "thread_node", "thread_head", "pgd",
        "ldt", "loaded_mm", "pti",
    )  # fmt: skip
    return {
        "function-pointers": {
            "va": TEXT,
            "functions": 3,
            "tables": 0,
            "rules": [[1, 0, 1], [2, -1, 4]],
            "sets": [[0x100, 0x210]],
        },
        "page-tables": dict.fromkeys(names, 8) | {"pointers": [TEXT + 8], "per_cpu_moves": True},
        "ro-after-init": {
            "symbol": "__start_ro_after_init",
            "start": RO + 64,
            "va": RO,
            "size": 4200,
            "sites_at": 256,
            "constants": [[512, 4, [[1, False], [2, False]]], [520, 8, [[TEXT + 16, True]]]],
            "encodings": [[600, 3, ["0f1f00", "0f01f9"]]],
            "array": [1024, 16, TEXT, True],
            "nr_cpu_ids": TEXT + 24,
        },
    }


def blobs() -> dict[str, bytes]:
    def u32(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}I", *values)

    def u16(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}H", *values)

    return {
        "function-pointers.pages": u32(3, 9),
        "function-pointers.index": u32(0, 2, 3),
        "function-pointers.slots": u16(8, 4088, 16),
        "function-pointers.targets": u32(0x100, 0x210, 0x100),
        "ro-after-init.sha256": bytes(64),
        "ro-after-init.lines": bytes(256),
        "ro-after-init.reloc_index": u32(0, 1, 1),
        "ro-after-init.relocs": u16(128),
        "ro-after-init.run_index": u32(0, 2, 2),
        "ro-after-init.runs": u16(0, 5 << 13 | 64, 256, 3 << 13 | 16),
        "ro-after-init.sites": u32(0x40, 0x1000, 0x48, 0x1001),
    }
