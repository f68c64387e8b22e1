"""Records as a person reads them, a line each."""

from __future__ import annotations

import json

from tinyvmi_build.records.format import (
    Bye,
    CheckDone,
    Cost,
    Heartbeat,
    Hello,
    KernelFound,
    Memory,
    MonitorFault,
    Tracking,
)
from tinyvmi_build.records.protocol import Record
from tinyvmi_build.report.paint import BAD, Painter
from tinyvmi_build.report.words import count_of, short_time
from tinyvmi_build.safe_text import safe

_PAGE = 4096
#: Fields of a cost record that are parts of what the check took.
_PARTS = {"read_ns": "to read", "sites_ns": "at patch sites", "hash_ns": "to hash"}


def record_line(record: Record, painter: Painter) -> str | None:
    """The line for a record; None if it needs none.  Findings and `waiting` have their own."""
    data = record.data
    match data:
        case Hello():
            return _hello(data)
        case KernelFound():
            return (
                f"found kernel {safe(data.release)} (build-id {data.build_id}) at {data.text_va}"
                f" = physical {data.text_pa}, KASLR delta {data.delta}, {data.levels} levels,"
                f" in {short_time(data.duration_us)}"
            )
        case CheckDone():
            return _check(data, painter)
        case Cost():
            return _cost(data)
        case Tracking():
            if data.frames:
                return f"Xen reports which of {data.frames} frames the target writes"
            why = safe(data.reason or "no reason given")
            return f"what the target writes is not tracked: {why}; code is read again instead"
        case Memory():
            more = (data.digested * _PAGE >> 20) + 1
            return (
                f"too little memory to copy {data.digested} of {data.cached + data.digested} pages:"
                f" those are digested in each scan; about {more} MiB more (monitor.memory) would do"
            )
        case MonitorFault():
            return painter.paint(BAD, f"monitor error in {safe(data.where)}: {safe(data.what)}")
        case Heartbeat() | Bye():
            return None
    return f"record of unknown type {safe(record.type)}: {safe(json.dumps(record.body))}"


def _hello(hello: Hello) -> str:
    kernels = ", ".join(safe(kernel.release) for kernel in hello.profiles) or "no kernel"
    base = safe(hello.base)
    if hello.base != "built-in":
        base += f" {safe(hello.base_rev[:19])}"
    return (
        f"monitor {hello.image} on base {base} watches domain {hello.target},"
        f" every {hello.period_ms / 1000:g} s, for {kernels}"
    )


def _check(check: CheckDone, painter: Painter) -> str:
    parts = [f"{check.items} compared"]
    parts += [count_of(check.findings, "finding")] if check.findings else []
    parts += [count_of(check.notices, "notice")] if check.notices else []
    parts.append(short_time(check.duration_us))
    reason = f": {safe(check.reason)}" if check.reason else ""
    return f"  {safe(check.check)}: {painter.verdict(check.verdict)} ({', '.join(parts)}){reason}"


def _cost(cost: Cost) -> str:
    parts = "".join(
        f", {short_time(getattr(cost, field) // 1000)} {what}"
        for field, what in _PARTS.items()
        if getattr(cost, field)
    )
    return (
        f"  {safe(cost.check)}: cost {short_time(cost.took_ns // 1000)},"
        f" {short_time(cost.map_ns // 1000)} of it to map {cost.map_pages} pages"
        f" in {cost.map_calls} calls{parts}"
    )
