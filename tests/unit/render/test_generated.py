"""The generated C of a small kernel: stable, readable, and accepted by both compilers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.checks import small_boot, small_modules, small_text
from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tests.unit.checks.test_idt import image as idt_image
from tests.unit.checks.test_registers import image as registers_image
from tinyvmi_build.checks.idt import golden as idt
from tinyvmi_build.checks.registers import golden as registers
from tinyvmi_build.checks.rodata import golden as rodata
from tinyvmi_build.config.model import Config
from tinyvmi_build.kernel.relocs import RelocKind
from tinyvmi_build.profile.profile import SectionFacts
from tinyvmi_build.render.plan import check_items, kernel_items, rendered

RODATA = TEXT + 0x10000


class Nearest:
    """Symbols of the generated comments."""

    def nearest(self, va: int) -> tuple[str, int]:
        return ("hostile */ name", 0) if va == TEXT + 0x100 else ("function", va & 0xFF)


class SmallKernel:
    """What `render.tables` reads of a KernelProfile."""

    release = "6.1.0-small"
    build_id = "0123456789abcdef0123456789abcdef01234567"
    text_va = TEXT
    symbols = Nearest()

    def __init__(self, **unknown: str):
        relocs = [(RODATA + 16, RelocKind.R64), (RODATA + 4094, RelocKind.R32)]
        symbols = FakeSymbols({"__start_rodata": RODATA, "__start_ro_after_init": RODATA + 4200})
        image = FakeImage(symbols, {RODATA: bytes(range(256))}, relocs)
        self._blobs = rodata.blobs(image) | small_text.blobs() | small_boot.blobs()  # type: ignore[arg-type]
        self._blobs |= small_modules.blobs()
        self._blobs |= {  # one digest is as good as another here
            name.replace(".sha256", ".blake3"): data
            for name, data in self._blobs.items()
            if name.endswith(".sha256")
        } | self._blobs
        facts = ("image_size", "build_id_va", "phys_base_va", "root_va", "la57_va", "system_state_va")
        self.golden: dict[str, Any] = {
            "kernel": dict.fromkeys(facts, TEXT)
            | {"text_va": TEXT, "physical_start": 0x1000000, "system_running": 3, "system_suspend": 7}
            | {"clock": {"va": TEXT, "clock": 0, "cycle_last": 16, "base_real": 48}},
            "identity": {"banner_va": TEXT, "banner": 'Linux "quoted" \\ \n'},
            "syscall-table": {
                "tables": [
                    {"symbol": "sys_call_table", "va": RODATA, "expected": [TEXT + 0x100, TEXT + 0x210]}
                ]
            },
            "idt": idt.golden(idt_image()),  # type: ignore[arg-type]
            "policy-globals": {
                "strings": [{"symbol": "core_pattern", "va": TEXT, "size": 128, "compiled": "core"}]
            },
            "rodata": rodata.golden(image),  # type: ignore[arg-type]
            "text": small_text.golden(),
            **small_boot.golden(),
            "modules": small_modules.golden(),
            "registers": registers.golden(registers_image()),  # type: ignore[arg-type]
        }
        for check, reason in unknown.items():
            self.golden[check.replace("_", "-")] = {"unknown": reason}

    def blob(self, name: str) -> bytes:
        return self._blobs[name]

    def section(self, name: str) -> SectionFacts:
        return SectionFacts(name, RODATA, 4200, None)


def files(kernel: SmallKernel) -> dict[str, str]:
    config = Config().with_values({("checks", "policy-globals", "core_pattern"): ("core", "|/usr/bin/x %P")})
    out = rendered([*check_items(config), *kernel_items(config, [kernel])])  # type: ignore[list-item]
    return {name.removeprefix("generated/"): text for name, text in out.items()}


def test_generated_c(golden: Callable[[str, str], None]) -> None:
    for name, text in files(SmallKernel()).items():
        golden(f"render/kernel/{name}", text)
