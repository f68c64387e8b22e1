"""The parts of an image that is made of three small objects."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tinyvmi_build.bench.code import code_by_part

#: Each has a function of its own of the same name, in a file of another name.
SOURCES = {
    "libbase.a.p/start.c": "static int run(int a) { return a * 3; } int start(int a) { return run(a); }",
    "libapp.a.p/.._checks_idt.c": "static int run(int a) { return a + a; } int idt(int a) { return run(a); }",
    "libapp.a.p/x_generated_idt_0.c": "int made(int a) { return a; }",
}


def test_functions_count_for_the_part_of_their_object(tmp_path: Path) -> None:
    objects = []
    for name, text in SOURCES.items():
        source = tmp_path / "src" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        objects.append(tmp_path / "obj" / f"{name}.o")
        objects[-1].parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O0", "-c", source, "-o", objects[-1]], check=True)
    image = tmp_path / "image.elf"
    subprocess.run(["gcc", "-nostdlib", "-no-pie", "-Wl,-estart", *objects, "-o", image], check=True)
    listed = subprocess.run(["nm", "-S", *objects], capture_output=True, text=True, check=True).stdout
    sizes = {
        part: sum(int(line.split()[1], 16) for line in listing.splitlines() if " T " in line.upper())
        for part, listing in zip(("base", "monitor", "generated"), listed.strip().split("\n\n"), strict=True)
    }
    assert code_by_part(image, tmp_path / "obj") == sizes
    assert all(sizes.values())
