"""docs/performance.md, written from a result."""

from __future__ import annotations

from .report import FOOT, tables
from .result import CLOCKS, Result

_METHOD = """\
# Performance

Written by `{command}` (TinyVMI {version}); do not edit.

- **What is compared.** The same C core over the same target, in one boot, taking turns: as the monitor in a domain of its own, and
  as a process of dom0 (`tinyvmi-dom0`) that maps through libxenforeignmemory page by page, in batches at each scan, or in
  batches that it keeps. The last is the least that dom0 can do; it does not see a frame that the guest exchanges. The target
  stands still meanwhile. A process reads its own clock, the monitor its own.
- **The limit** is a domain that maps as many pages and reads, compares and digests them without any of a check's own work.
- **Clocks.** {clocks}
- {foot}

"""

_THESIS = """\
## The figure that this project began with

A thesis on the same idea says that checking from a Mini-OS domain has "more than 92 %" less performance loss than checking from the
privileged domain; a later report by the same author gives 3.7 against 5.7 µs a page (35 % less). The method differs: there, a
reader in dom0 maps one page at a time, and how much is digested a page decides what is left of the gain. So the tables
above have both: a dom0 that works page by page, and the best that dom0 can do; mapping, and the whole check.

"""


def document(result: Result, plot: str | None) -> str:
    """Markdown."""
    clocks = "; ".join(f"{run.clock}: {CLOCKS[run.clock]}" for run in result.runs)
    text = _METHOD.format(command=result.command, version=result.version, clocks=clocks, foot=FOOT)
    text += "Machine: " + ", ".join(f"{k} {v}" for k, v in result.machine.items() if v) + ".\n"
    for run in result.runs:
        text += f"\nTarget of the {run.clock} run: Linux {run.kernel}; {run.xen.strip() or 'Xen'}.\n"
    if plot:
        text += f"\n![Cost of a scan]({plot})\n"
    text += "\n## Figures\n\n" + "\n".join(table.markdown() for table in tables(result)) + "\n"
    text += _THESIS
    missing = [*result.absent, *(f"{run.clock}: {what}" for run in result.runs for what in run.failed)]
    if missing:
        text += "## Not measured\n\n" + "".join(f"- {what}\n" for what in missing)
    return text
