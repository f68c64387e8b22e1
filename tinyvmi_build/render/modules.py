"""The tables of a kernel's modules as C: those of a kind are one array, of which each module has a part."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.modules.common import wanted
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.packed import unpacked

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile

PAGE = 4096
_LINES = 32  # of a page, each with a sum
#: Tables of struct tv_text_code: name → type of its numbers.
_CODE = {
    "site_index": "I",
    "sites": "H",
    "args": "H",
    "jump_keys": "I",
    "call_keys": "I",
    "call_index": "I",
    "call_gaps": "B",
    "function_index": "I",
    "functions": "H",
}
_TYPES = {"I": "uint32_t", "H": "uint16_t", "B": "uint8_t"}


def chosen(kernel: KernelProfile, include: Iterable[str]) -> list[str]:
    """Modules of the profile that go into an image: of `include`, those added by hand, and their needs."""
    golden = kernel.golden["modules"]
    present = set(golden.get("list", ()))
    queue = [*wanted(present, include), *golden.get("extra", ())]
    found: set[str] = set()
    while queue:
        name = queue.pop()
        if name in present and name not in found:
            found.add(name)
            queue += _tables(kernel, name)[0]["needs"]
    return sorted(found)


def _tables(kernel: KernelProfile, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    return unpacked(kernel.blob(f"modules/{name}"))


class _Pool:
    """Values one behind the other."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, values: Iterable[Any]) -> int:
        at = len(self.values)
        self.values += values
        return at


class _Shapes:
    """Shapes of all modules; equal templates stand once."""

    def __init__(self) -> None:
        self.templates: dict[tuple[str, str], int] = {}
        self.list: list[dict[str, Any]] = []
        self.shapes: list[dict[str, int]] = []
        self.numbers = _Pool()

    def add(self, golden: dict[str, Any]) -> int:
        numbers = []
        for template in golden["templates"]:
            key = template["code"], str(template["fixes"])
            if key not in self.templates:
                self.templates[key] = len(self.list)
                self.list.append({"code": bytes.fromhex(template["code"]), "fixes": template["fixes"]})
            numbers.append(self.templates[key])
        at = len(self.shapes)
        for shape in golden["shapes"]:
            where = self.numbers.add([*shape["conditions"], *(numbers[t] for t in shape["templates"])])
            self.shapes.append({"size": shape["size"], "conditions": len(shape["conditions"]), "at": where})
        return at


def modules(kernel: KernelProfile, include: Iterable[str], digest: str) -> dict[str, Any]:
    """Values of `tinyvmi_build/checks/modules/table.c.j2`."""
    names = chosen(kernel, include)
    numbers = {name: i for i, name in enumerate(names)}
    pools = {name: _Pool() for name in (*_CODE, "reloc_index", "relocs", "order", "needs")}
    digests, sums, jumps = _Pool(), _Pool(), _Pool()
    regions, classes, witnesses = _Pool(), _Pool(), _Pool()
    shapes = _Shapes()
    rows = []
    for name in names:
        golden, data = _tables(kernel, name)
        row: dict[str, Any] = {
            "name": name,
            "build_id": bytes.fromhex(golden["build_id"]),
            "build_id_at": golden["build_id_at"],
            "sizes": [golden["sizes"][area.name] for area in Area],
            "starts": [golden["starts"][area.name] for area in Area],
            "code": {n: pools[n].add(_numbers(code, data[f"text.{n}"])) for n, code in _CODE.items()},
            "jump_keys": len(data["text.jump_keys"]) // 4,
            "call_keys": len(data["text.call_keys"]) // 4,
            "needs": pools["needs"].add(numbers[other] for other in golden["needs"]),
            "regions": regions.add(golden["regions"]),
            "classes": classes.add(golden["classes"]),
            "witnesses": witnesses.add([w[0], w[1], w[3], w[2], w[4]] for w in golden["witnesses"]),
            "counts": {n: len(golden[n]) for n in ("needs", "regions", "classes", "witnesses")},
        }
        row["code"]["jumps"] = jumps.add(struct.iter_unpack("<IHBB", data["text.jumps"]))
        row["code"]["shapes"] = shapes.add(golden)
        for area in ("text", "rodata"):
            row[area] = {
                "npages": golden["sizes"][area.upper()] // PAGE,
                "page": digests.add(_rows(data[f"{area}.{digest}"], 32)),
                "index": pools["reloc_index"].add(_numbers("I", data[f"{area}.reloc_index"])),
                "relocs": pools["relocs"].add(data[f"{area}.relocs"]),
            }
            sums.add(_rows(data[f"{area}.sums"], _LINES))
        row["rodata"]["order"] = pools["order"].add(_numbers("H", data["rodata.order"]))
        rows.append(row)
    types = {**_CODE, "reloc_index": "I", "relocs": "B", "order": "H", "needs": "H"}
    arrays = {name: (_TYPES[types[name]], pool.values) for name, pool in pools.items()}
    arrays["shape_numbers"] = ("uint16_t", shapes.numbers.values)
    golden = kernel.golden["modules"]
    apart = {"list", "extra", "unverifiable", "available", "memory"}
    return {
        "modules": rows,
        "arrays": arrays,
        "tables": {
            "digests": (32, digests.values),
            "sums": (_LINES, sums.values),
        },
        "jumps": jumps.values,
        "templates": shapes.list,
        "shapes": shapes.shapes,
        "regions": regions.values,
        "classes": classes.values,
        "witnesses": witnesses.values,
        "jump_keys": max((row["jump_keys"] for row in rows), default=0),
        "call_keys": max((row["call_keys"] for row in rows), default=0),
        "struct": {name: int(value) for name, value in golden.items() if name not in apart},
        "memory": golden.get("memory") or [0],
    }


def _numbers(code: str, data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)


def _rows(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
