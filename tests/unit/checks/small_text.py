"""Golden values of `text` for a kernel of one page with one place of each kind."""

from __future__ import annotations

import struct
from typing import Any

from tests.unit.checks.fake import TEXT

SIZE = 4096


def golden() -> dict[str, Any]:
    return {
        "symbol": "_text",
        "va": TEXT,
        "size": SIZE,
        "features": {"retpoline": 364, "lfence": 365, "rethunk": 366, "its": 678, "call_depth": 371},
        "return_thunks": [16, 32],
        "paravirt": {
            "pointers": [0x2000],
            "functions": [64, 80],
            "native": [{"pointer": 0, "code": "579d", "function": 64}],
            "nop": 96, "bug": 0, "ident": 0, "iret": 0xFFFF, "patch": 0, "patch_default": 0,
        },
        "static_calls": {"ret0": 112, "warn": 0, "empty": 0},
        "constants": {
            "list": [{"symbol": "d_hash_shift", "kind": 1, "variable": 0x2010}],
            "slab_caches": 0,
            "slab_list": 0,
        },
        "ftrace": {
            "ops_list": 1, "list_end": 2, "func": 0, "next": 8, "trampoline": 144,
            "callers": [128, 256], "functions": [144], "graph": [],
            "templates": [
                {"start": 128, "size": 96, "op": 16, "call": 32, "jmp": 0},
                {"start": 256, "size": 128, "op": 16, "call": 32, "jmp": 64},
            ],
        },
        "kprobes": {"buckets": 64, "template": "549c0f1f009d"}
        | dict.fromkeys(("table", "hlist", "addr", "opcode", "flags", "copied"), 3),
        "registries": {"bpf_list": 4, "klp_list": 5},
        "poke": {"vector": 6, "count": 7},
        "shapes": [
            {"size": 3, "conditions": [308], "templates": [0, 1]},
            {"size": 5, "conditions": [], "templates": [2]},
        ],
        "templates": [
            {"code": "0f1f00", "fixes": []},
            {"code": "0f01ca", "fixes": []},
            {"code": "e800000000", "fixes": [[1, 0, 4294967295]]},
        ],
        "call_pad": {"code": "6548c13d0000000005", "fixes": [[4, 0, 4096], [4, 5, 0]]},
        "endbr_poison": "660f1f00",
        "pads_jumps": False,
        "int3_after_jump": True,
    } | dict.fromkeys(
        (
            "capabilities", "capability_words", "x86_return_thunk", "its_return_thunk", "thunks",
            "call_thunks", "jump_thunks", "its_thunks", "uniproc_patched", "ideal_nops", "k8_nops", "p6_nops",
        ),
        24,
    )  # fmt: skip


def blobs() -> dict[str, bytes]:
    sites = [kind << 12 | 64 * kind for kind in range(12)]
    args = [0, 0x13, 0x600, 0, 0, 0, 0]
    return {
        "text.sha256": bytes(32),
        "text.lines": bytes(128),
        "text.reloc_index": struct.pack("<2I", 0, 1),
        "text.relocs": struct.pack("<H", 1 << 14 | 40),
        "text.site_index": struct.pack("<2I", 0, len(sites)),
        "text.sites": struct.pack(f"<{len(sites)}H", *sites),
        "text.args": struct.pack(f"<{len(args)}H", *args),
        "text.jumps": struct.pack("<IHBB", 200, 0, 5, 1),
        "text.jump_keys": struct.pack("<I", 0x2020),
        "text.call_keys": struct.pack("<I", 0x2030),
        "text.function_index": struct.pack("<2I", 0, 2),
        "text.functions": struct.pack("<2H", 64, 80),
        "text.call_index": struct.pack("<2I", 0, 1),
        "text.call_gaps": bytes([0x28]),
    }
