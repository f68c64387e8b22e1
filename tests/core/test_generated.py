"""Both compilers accept the generated C of a small kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.render.test_generated import SmallKernel, files
from tinyvmi_build.paths import data_dir


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "kernel",
    [
        SmallKernel(),
        SmallKernel(
            idt="why */ not",
            rodata="r",
            syscall_table="s",
            policy_globals="p",
            text="t",
            function_pointers="f",
            page_tables="p",
            ro_after_init="i",
            registers="r",
        ),  # fmt: skip
    ],
    ids=["known", "unknown"],
)
def test_both_compilers_accept_it(tmp_path: Path, compiler: str, kernel: SmallKernel) -> None:
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-mgeneral-regs-only"]
    for name, text in files(kernel).items():
        (tmp_path / name).write_text(text)
    sources = sorted(str(path) for path in tmp_path.glob("*.c"))
    core = data_dir("minios_app")
    include = [f"-I{core / 'include'}", f"-I{core}", "-I."]
    subprocess.run([compiler, *flags, *include, "-c", *sources], check=True, cwd=tmp_path)
