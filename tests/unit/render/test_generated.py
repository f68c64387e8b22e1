"""The generated C of a small kernel: stable, readable, and accepted by both compilers."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.checks import small_boot, small_modules, small_text
from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tests.unit.checks.test_idt import image as idt_image
from tests.unit.checks.test_registers import image as registers_image
from tinyvmi_build.checks.identity.golden import IdentityGolden
from tinyvmi_build.checks.idt import golden as idt
from tinyvmi_build.checks.policy_globals.golden import PolicyGlobalsGolden, PolicyString
from tinyvmi_build.checks.registers import golden as registers
from tinyvmi_build.checks.rodata import golden as rodata
from tinyvmi_build.checks.syscall_table.golden import PointerTable, SyscallTableGolden
from tinyvmi_build.config.model import Config
from tinyvmi_build.kernel.relocs import RelocKind
from tinyvmi_build.profile.discovery import Clock, Discovery
from tinyvmi_build.profile.golden import GoldenValues, Unsupported
from tinyvmi_build.profile.profile import SectionFacts
from tinyvmi_build.render.plan import check_items, kernel_items, rendered

RODATA = TEXT + 0x10000


class Nearest:
    """Symbols of the generated comments."""

    def nearest(self, va: int) -> tuple[str, int]:
        return ("hostile */ name", 0) if va == TEXT + 0x100 else ("function", va & 0xFF)


#: Of a check that is newer than this kernel.
NOT_HERE = Unsupported("a new check")


class SmallKernel:
    """What `render.tables` reads of a KernelProfile."""

    release = "6.1.0-small"
    build_id = "0123456789abcdef0123456789abcdef01234567"
    text_va = TEXT
    symbols = Nearest()

    def __init__(self, **unsupported: str):
        relocs = [(RODATA + 16, RelocKind.R64), (RODATA + 4094, RelocKind.R32)]
        symbols = FakeSymbols({"__start_rodata": RODATA, "__start_ro_after_init": RODATA + 4200})
        image = FakeImage(symbols, {RODATA: bytes(range(256))}, relocs)
        self.discovery = Discovery(
            text_va=TEXT,
            image_size=TEXT,
            physical_start=0x1000000,
            build_id_va=TEXT,
            banner_va=TEXT,
            banner='Linux "quoted" \\ \n',
            phys_base_va=TEXT,
            root_va=TEXT,
            la57_va=TEXT,
            system_state_va=TEXT,
            system_running=3,
            system_suspend=7,
            clock=Clock(TEXT, 0, 16, 48),
        )
        values: list[GoldenValues] = [
            IdentityGolden(),
            SyscallTableGolden((PointerTable("sys_call_table", RODATA, (TEXT + 0x100, TEXT + 0x210)),)),
            idt.compute(idt_image()),  # type: ignore[arg-type]
            PolicyGlobalsGolden((PolicyString("core_pattern", TEXT, 128, "core"),)),
            rodata.compute(image),  # type: ignore[arg-type]
            small_text.golden(),
            *small_boot.golden(),
            small_modules.golden(),
            registers.compute(registers_image()),  # type: ignore[arg-type]
        ]
        self._values: dict[str, GoldenValues | Unsupported] = {v.CHECK: v for v in values}
        for check, reason in unsupported.items():
            self._values[check.replace("_", "-")] = Unsupported(reason)

    def values(self, kind: type[GoldenValues]) -> GoldenValues | Unsupported:
        return self._values.get(kind.CHECK, NOT_HERE)

    def unsupported(self, check: str) -> str:
        values = self._values.get(check, NOT_HERE)
        return values.reason if isinstance(values, Unsupported) else ""

    def blob(self, name: str) -> bytes:
        assert name == "modules/small"
        return small_modules.module().packed()

    def section(self, name: str) -> SectionFacts:
        return SectionFacts(name, RODATA, 4200, None)


def files(kernel: SmallKernel) -> dict[str, str]:
    config = Config().with_values({("checks", "policy-globals", "core_pattern"): ("core", "|/usr/bin/x %P")})
    out = rendered([*check_items(config), *kernel_items(config, [kernel])])  # type: ignore[list-item]
    return {name.removeprefix("generated/"): text for name, text in out.items()}


def test_generated_c(golden: Callable[[str, str], None]) -> None:
    for name, text in files(SmallKernel()).items():
        golden(f"render/kernel/{name}", text)
