"""`tinyvmi-build inspect`: what is inside an image."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import PATH, Verb

if TYPE_CHECKING:
    from tinyvmi_build.image.inspect import Inspection


@click.command("inspect", cls=Verb)
@click.argument("image", metavar="IMAGE", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(image: Path, as_json: bool) -> None:
    """Show sizes, Xen's notes and the TinyVMI note of IMAGE, an ELF file or its .gz.

    \b
    Examples:
      tinyvmi-build inspect build/guest/tinyvmi-guest.gz
      tinyvmi-build inspect build/guest/tinyvmi-guest.elf --json
    """
    from tinyvmi_build.image.inspect import inspect

    found = inspect(image)
    click.echo(json_output.document("image", asdict(found)) if as_json else "\n".join(_table(found)))


def _table(image: Inspection) -> list[str]:
    from tinyvmi_build.safe_text import safe

    packed = f" ({image.elf_size:,} unpacked)" if image.compressed else ""
    lines = [
        f"file      {image.file_size:,} bytes{packed}, SHA-256 {image.sha256}",
        f"memory    {image.memory_size:,} bytes, entry 0x{image.entry:x}, {image.symbols:,} symbols",
        "",
        f"{'section':<20} {'address':<18} {'bytes':>12}",
    ]
    for s in image.sections:
        empty = "" if s.in_file else "  (zero, not in the file)"
        lines.append(f"{safe(s.name):<20} 0x{s.address:016x} {s.size:>12,}  {s.flags}{empty}")
    lines += ["", "Xen notes"]
    lines += [f"  {name:<18} {safe(value)}" for name, value in image.xen.items()] or [
        "  none: Xen will not start it"
    ]
    lines += ["", "TinyVMI note"]
    if image.tinyvmi is None:
        return [*lines, "  none: this is not a monitor"]
    lines.append(f"  {'image id':<18} {image.image_id}")
    for name, value in image.tinyvmi.items():
        shown = _values(value)
        lines += [f"  {safe(name) if i == 0 else '':<18} {safe(text)}" for i, text in enumerate(shown)]
    return lines


def _values(value: object) -> list[str]:
    """A line for each element of a list and for each member of an object."""
    if isinstance(value, dict):
        return [f"{key} {inner}" for key, inner in value.items()] or [""]
    if isinstance(value, list):
        return [str(element) for element in value] or [""]
    return [str(value)]
