"""`tinyvmi-build doctor`: what is missing, and what mends it."""

from __future__ import annotations

from dataclasses import asdict

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import Verb
from tinyvmi_build.errors import Exit

_MARKS = {"ok": ("✓", "green"), "missing": ("✗", "red"), "absent": ("–", "yellow")}


@click.command("doctor", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(as_json: bool) -> int:
    """Check this machine: each requirement, what was found, what is needed, what mends it.

    QEMU's accelerators are tried by booting a guest of a few bytes. KVM and a
    dom0 are optional. Ends with status 4 if something required is missing.

    \b
    Examples:
      tinyvmi-build doctor
      tinyvmi-build doctor --json | jq -r '.rows[] | select(.status == "missing").fix'
    """
    from tinyvmi_build.doctor.checks import rows

    found = rows()
    missing = [row for row in found if row.status == "missing"]
    if as_json:
        document = {"ok": not missing, "rows": [asdict(row) for row in found]}
        click.echo(json_output.document("doctor", document))
    else:
        for row in found:
            mark, colour = _MARKS[row.status]
            line = f"{click.style(mark, fg=colour)} {row.id:<13} {row.found:<28} {row.needed}"
            click.echo(line + (f"\n  → {row.fix}" if row.fix else ""))
        click.echo(f"{len(missing)} missing" if missing else "all that is required is here")
    return Exit.ENVIRONMENT if missing else Exit.INTACT
