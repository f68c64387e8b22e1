"""How a run is told: to a person (`Terminal`) or to a program (`JsonLines`).

Both get every event as it comes and the collector at the end.  Whatever comes
from the monitor, and so perhaps from its target, is made printable first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from tinyvmi_build import json_output
from tinyvmi_build.errors import Exit
from tinyvmi_build.explain.explainer import Explainer, Explanation
from tinyvmi_build.records.collector import Collector, Event, Finished, Lost, Received, ScanDone, exit_of_runs
from tinyvmi_build.records.protocol import Broken, Text, safe
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.latency import WorstTimes

_COLOURS = {
    Verdict.INTACT: "32",
    Verdict.UNVERIFIABLE: "33",
    Verdict.ERROR: "31",
    Verdict.TAMPERED: "1;31",
}
_SHOWN_BYTES = 16


def _distance(offset: int) -> str:
    """Of what is found from its symbol; a module's data may lie below its code, and 64 bits wrap around."""
    if offset >= 1 << 63:
        return f"-0x{(1 << 64) - offset:x}"
    return f"+0x{offset:x}" if offset else ""


class Terminal:
    """Live lines for a person, a table of the checks at the end; coloured on a terminal only."""

    def __init__(self, stream: TextIO, explain: Explainer | None = None, *, console: bool = True):
        self._stream = stream
        self._explain = explain or Explainer(None)
        self._console = console  # show text that is no record
        tty = getattr(stream, "isatty", lambda: False)()
        self._colour = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._last: tuple[Verdict, int] | None = None

    def events(self, events: Iterable[Event]) -> None:
        """Tell each of `events`."""
        for event in events:
            self._event(event)

    def attached(self, name: str, target: int, monitor: int) -> None:
        """A monitor is about to watch a target: said by its own first record."""

    def detached(self, collector: Collector) -> None:
        """The table of a run that another one follows."""
        self._table(collector)
        self._last = None

    def close(self, collector: Collector, earlier: Sequence[Collector] = ()) -> None:
        """The table of checks and the verdict of the run, and of all if it was not the only one."""
        self._table(collector)
        if earlier:
            runs = [*earlier, collector]
            code = exit_of_runs(runs)
            self._line(f"{len(runs)} runs, the worst {code.name.lower().replace('_', ' ')}")

    def _table(self, collector: Collector) -> None:
        if collector.checks:
            width = max(len("check"), *(len(safe(name)) for name in collector.checks))
            self._line("")
            self._line(f"  {'check':<{width}}  {'verdict':<13} {'compared':>8} {'findings':>8} {'time':>10}")
            for name, state in collector.checks.items():
                verdict = self._paint(_COLOURS[state.verdict], f"{state.verdict:<13}")
                reason = f"  {safe(state.reason)}" if state.reason else ""
                reason += f"  ({_count(state.notices, 'notice')[2:]})" if state.notices else ""
                if state.ever is not state.verdict:
                    reason += f"  (was {state.ever} in this run)"
                self._line(
                    f"  {safe(name):<{width}}  {verdict} {state.units:>8} {state.findings:>8}"
                    f" {_time(state.us):>10}{reason}"
                )
        for name in collector.missing:
            self._line(f"  {name}: {self._paint('33', 'never reported')}")
        first = collector.timings.get("first-scan")
        if collector.live and first is not None:
            found = collector.timings.get("kernel", first)
            self._line(f"  kernel found {found:.1f} s after the monitor's start, first verdict {first:.1f} s")
        self._line("")
        self._line(self._closing(collector))

    def _closing(self, collector: Collector) -> str:
        scans = f"{collector.scans} scan{'' if collector.scans == 1 else 's'}"
        verdict = collector.verdict
        if collector.lost_reason is not None:
            before = f"; before that: {verdict}" if verdict is Verdict.TAMPERED else ""
            return f"{self._paint('1;31', 'MONITOR LOST')}: {safe(collector.lost_reason)} ({scans}{before})"
        if verdict is None or (verdict is Verdict.UNVERIFIABLE and not collector.checks):
            why = f": {safe(collector.waiting)}" if collector.waiting else ""
            return f"{self._paint('33', 'nothing was checked')}{why} ({scans})"
        return f"{self._paint(_COLOURS[verdict], verdict.upper())} ({scans})"

    def _event(self, event: Event) -> None:
        if isinstance(event, Text):
            if self._console:
                self._line(self._paint("2", f"| {safe(event.text)}"))
        elif isinstance(event, Broken):
            self._line(self._paint("31", f"broken record: {event.reason}"))
            if event.line:
                self._line(self._paint("2", f"| {safe(event.line[:120])}"))
        elif isinstance(event, Received):
            self._record(event.record.body)
        elif isinstance(event, ScanDone):
            if self._last is None or self._last[0] is not event.verdict:
                self._line(f"scan {event.scan}: {self._paint(_COLOURS[event.verdict], event.verdict)}")
            self._last = (event.verdict, event.scan)
        elif isinstance(event, WorstTimes):
            self._worst_times(event)
        elif isinstance(event, Lost):
            self._line(self._paint("1;31", f"monitor lost: {safe(event.reason)}"))
        elif isinstance(event, Finished):
            self._line(f"the monitor ends: {safe(event.reason)}")

    def _worst_times(self, told: WorstTimes) -> None:
        self._line(
            f"worst times to detection, with scans of {told.scan_s:.3g} s (docs/design/scheduling.md):"
        )
        for row in told.rows:
            self._line(f"  {row.seconds:>8.3g} s  {row.change.replace('`', '')} ({safe(row.check)})")

    def _record(self, body: dict[str, Any]) -> None:
        kind = body["type"]
        self._explain.see(body)
        if kind == "hello":
            kernels = ", ".join(safe(p["release"]) for p in body["profiles"]) or "no kernel"
            rev = body.get("base_rev")
            base = safe(body["base"])
            if isinstance(rev, str) and base != "built-in":
                base += f" {safe(rev[:19])}"
            self._line(
                f"monitor {body['image']} on base {base} watches domain {body['target']},"
                f" every {body['period_ms'] / 1000:g} s, for {kernels}"
            )
        elif kind == "kernel":
            self._line(
                f"found kernel {safe(body['release'])} (build-id {body['build_id']}) at {body['text_va']}"
                f" = physical {body['text_pa']}, KASLR delta {body['delta']}, {body['levels']} levels,"
                f" in {_time(body['duration_us'])}"
            )
        elif kind == "check":
            verdict = Verdict(body["verdict"])
            reason = f": {safe(body['reason'])}" if body.get("reason") else ""
            count = body["findings"]
            findings = _count(count, "finding") + _count(body.get("notices", 0), "notice")
            self._line(
                f"  {safe(body['check'])}: {self._paint(_COLOURS[verdict], verdict)}"
                f" ({body['items']} compared{findings}, {_time(body['duration_us'])}){reason}"
            )
        elif kind in ("finding", "notice"):
            self._finding(body, self._explain.finding(body))
        elif kind == "cost":
            self._line(
                f"  {safe(body['check'])}: cost {_time(body['took_ns'] // 1000)},"
                f" {_time(body['map_ns'] // 1000)} of it to map {body['map_pages']} pages"
                f" in {body['map_calls']} calls{_phases(body)}"
            )
        elif kind == "tracking":
            if body["frames"]:
                self._line(f"the hypervisor tells which of {body['frames']} frames the target writes")
            else:
                why = safe(body.get("reason", "no reason given"))
                self._line(f"what the target writes is not tracked: {why}; code is read again instead")
        elif kind == "memory":
            lack = (body["digested"] * 4096 >> 20) + 1
            self._line(
                f"too little memory to keep {body['digested']} of {body['cached'] + body['digested']} pages:"
                f" those are digested in each scan; about {lack} MiB more (monitor.memory) would do"
            )
        elif kind == "waiting":
            banner = f"; its memory says: {safe(body['banner'])}" if "banner" in body else ""
            self._line(f"waiting: {safe(body['reason'])}{banner}")
            self._last = None  # what the next scan says is news
        elif kind == "error":
            self._line(self._paint("31", f"monitor error in {safe(body['where'])}: {safe(body['what'])}"))
        elif kind not in ("heartbeat", "bye"):
            self._line(f"record of unknown type {safe(kind)}: {safe(json.dumps(body))}")

    def _finding(self, body: dict[str, Any], known: Explanation) -> None:
        place = safe(body["symbol"]) + _distance(body["offset"])
        near = (
            f" [{safe(known.symbol)}]" if known.symbol and known.symbol not in (body["symbol"], place) else ""
        )
        told = "  FINDING" if body["type"] == "finding" else "  NOTICE"
        colour = "1;31" if body["type"] == "finding" else "33"
        self._line(
            self._paint(colour, f"{told} {safe(body['check'])}: {safe(body['kind'])} at {place}")
            + f" = {known.address or body['address']}{near}"
        )
        where = ", ".join(
            text for text in (known.section, known.site and f"patched place: {known.site}") if text
        )
        if where:
            self._line(f"    in       {where}")
        text = body["kind"] == "string"
        expected, actual = known.expected_bytes or body["expected"], known.actual_bytes or body["actual"]
        self._line(f"    expected {_bytes(expected, known.expected, text) or 'not known here'}")
        self._code(known.expected_code)
        self._line(f"    found    {_bytes(actual, known.actual, text)}")
        self._code(known.actual_code)
        if known.beside:
            self._line(f"    beside   {', '.join(known.beside[:4])}: judged on their own")
        self._owner(body, known)
        for label, said in (("note", safe(body.get("note", ""))), ("meaning", known.meaning)):
            if said:
                self._line(f"    {label:<8} {said}")
        if known.attribution:
            self._line(f"    by       {known.attribution}")

    def _owner(self, body: dict[str, Any], known: Explanation) -> None:
        """Where it leads, and the name that the guest's own registry gives it."""
        if body.get("target"):
            name = f" <{safe(known.target)}>" if known.target else ""
            owner = f", which the guest calls {safe(body['owner'])}" if body.get("owner") else ""
            self._line(f"    leads to {body['target']}{name}{owner}")

    def _code(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            self._line(f"               {safe(line)}")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class JsonLines:
    """One JSON object a line: `record`, `text`, `broken`, `scan`, `worst-times`, `lost`, `finished`.

    Last comes `result`.
    """

    def __init__(self, stream: TextIO, explain: Explainer | None = None):
        self._stream = stream
        self._explain = explain or Explainer(None)

    def events(self, events: Iterable[Event]) -> None:
        """Write each of `events`."""
        for event in events:
            if isinstance(event, Text):
                self._write("text", text=event.text)
            elif isinstance(event, Broken):
                self._write("broken", reason=event.reason, line=event.line)
            elif isinstance(event, Received):
                self._record(event)
            elif isinstance(event, ScanDone):
                self._write("scan", scan=event.scan, verdict=event.verdict)
            elif isinstance(event, WorstTimes):
                self._write("worst-times", **event.fields())
            elif isinstance(event, Lost):
                self._write("lost", reason=event.reason)
            elif isinstance(event, Finished):
                self._write("finished", reason=event.reason, verdict=event.verdict)

    def attached(self, name: str, target: int, monitor: int) -> None:
        """The `attached` object."""
        self._write("attached", name=name, target=target, monitor=monitor)

    def detached(self, collector: Collector) -> None:
        """The `run` object: as `result`, for a run that another one follows."""
        self._write("run", exit=int(collector.exit_code()), **_summary(collector))

    def close(self, collector: Collector, earlier: Sequence[Collector] = ()) -> None:
        """The `result` object: of the last run, but for the exit status."""
        runs = [*earlier, collector]
        self._write("result", exit=int(exit_of_runs(runs)), **_summary(collector), runs=len(runs))

    def _record(self, event: Received) -> None:
        body = event.record.body
        self._explain.see(body)
        extra: dict[str, Any] = {}
        if body["type"] in ("finding", "notice"):
            known = {k: v for k, v in vars(self._explain.finding(body)).items() if v}
            if known:
                extra["explained"] = known
        self._write("record", seq=event.record.seq, record=body, **extra)

    def _write(self, event: str, **fields: Any) -> None:
        self._stream.write(json_output.line("event", {"event": event, **fields}) + "\n")
        self._stream.flush()


def _count(count: int, what: str) -> str:
    return f", {count} {what}{'s' if count > 1 else ''}" if count else ""


def _summary(collector: Collector) -> dict[str, Any]:
    lost = collector.exit_code() is Exit.MONITOR_LOST
    return {
        "outcome": "lost" if lost else (collector.verdict or "nothing-checked"),
        "verdict": collector.verdict,
        "lost": collector.lost_reason,
        "scans": collector.scans,
        "bye": collector.bye["reason"] if collector.bye else None,
        "waiting": collector.waiting,
        "missing": list(collector.missing),
        "timings": collector.timings if collector.live else {},
        **({"worst_times": collector.worst_times.fields()} if collector.worst_times else {}),
        **({"digested": collector.digested} if collector.digested else {}),
        "checks": {
            name: {
                "verdict": state.verdict,
                "worst": state.ever,
                "items": state.units,
                "findings": state.findings,
                "notices": state.notices,
                "duration_us": state.us,
                **({"reason": state.reason} if state.reason else {}),
            }
            for name, state in collector.checks.items()
        },
    }


def _time(us: int) -> str:
    return f"{us} us" if us < 1000 else f"{us / 1000:.1f} ms"


def _phases(cost: dict[str, Any]) -> str:
    """What else of a cost is told apart."""
    names = {"read_ns": "to read", "sites_ns": "at places that are patched", "hash_ns": "to hash"}
    parts = [f", {_time(cost[key] // 1000)} {name}" for key, name in names.items() if cost.get(key)]
    return "".join(parts)


def _bytes(hex_text: str, symbol: str, as_text: bool) -> str:
    raw = bytes.fromhex(hex_text)
    shown = raw[:_SHOWN_BYTES].hex(" ") + (f" … ({len(raw)} bytes)" if len(raw) > _SHOWN_BYTES else "")
    if symbol:
        return f"{shown} → {safe(symbol)}"
    if as_text:
        return f'{shown} "{safe(raw.split(bytes(1))[0].decode("latin-1"))}"'
    return shown
