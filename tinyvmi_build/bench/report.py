"""A result as tables: on a terminal, in a document."""

from __future__ import annotations

from tinyvmi_build.bench.figures import (
    DIGESTED,
    FIRST,
    GROUPS,
    INCREMENTAL,
    LATER,
    MAPPING,
    PARTS,
    REPORTING,
    SECOND,
    WHOLE,
    WORK,
    Figure,
    pick,
)
from tinyvmi_build.bench.goals import goals
from tinyvmi_build.bench.plan import DIGESTS, INCREMENTAL_CHECK, LIBVMI, LIMIT, MONITOR
from tinyvmi_build.bench.result import CLOCKS, ICOUNT, Growth, Result, Run
from tinyvmi_build.bench.statistics import Spread, less
from tinyvmi_build.bench.table import Table
from tinyvmi_build.checks import registry

NAMES = {
    MONITOR: "monitor",
    "dom0-batched": "dom0, mapping cache",
    "dom0-revalidate": "dom0, batched",
    "dom0-single": "dom0, page by page",
    LIBVMI: "LibVMI",
}
BEST = "dom0-batched"
FOOT = (
    "Figures of an emulator (TCG) show how much work something is. They are not times of silicon and must"
    " not be quoted as such."
)


def tables(result: Result) -> list[Table]:
    """All tables of a result, the most important first."""
    found = []
    for run in result.runs:
        found += [
            _scans(run),
            _parts(run),
            _digests(run),
            _incremental_checks(run),
            _pages(run),
            _limit(run),
            _starts(run),
        ]
        found += [
            table for table in (_write_latency(run), _latency(run), _slowdown(run), _growth(run)) if table
        ]
    found += [goals(result), _sizes(result), _builds(result)]
    return [table for table in found if table.rows]


def amount(run: Run, ns: float) -> str:
    """A cost: thousands of instructions, or milliseconds."""
    if run.clock == ICOUNT:
        return f"{ns / 1e3:,.0f}" if ns >= 1e4 else f"{ns / 1e3:.3g}"
    return f"{ns / 1e6:,.3g}"


def unit(run: Run) -> str:
    return "thousand instructions" if run.clock == ICOUNT else "ms"


def _cell(run: Run, figure: Figure | None) -> str:
    if figure is None:
        return "–"
    low, middle, high = (amount(run, ns) for ns in (figure.ns.q1, figure.ns.median, figure.ns.q3))
    return middle if low == high else f"{middle} ({low}–{high})"


def _gain(ours: Figure | None, theirs: Figure | None) -> str:
    if ours is None or theirs is None or not theirs.ns.median:
        return "–"
    return f"{less(ours.ns.median, theirs.ns.median):.1f} %"


def _present(run: Run) -> list[str]:
    measured = {figure.who for figure in run.figures}
    return [who for who in NAMES if who in measured]


def _checks(run: Run) -> list[str]:
    seen = dict.fromkeys(f.what for f in run.figures if f.who == MONITOR)
    return [*GROUPS, *(what for what in seen if what not in GROUPS)]


def _scans(run: Run) -> Table:
    who = [w for w in _present(run) if w != LIBVMI]
    rows: list[tuple[str, ...]] = []
    for scan, phase, label in (
        (LATER, WHOLE, ""),
        (LATER, MAPPING, ", mapping"),
        (LATER, WORK, ", the other work"),
    ):
        for what in GROUPS if phase != WHOLE else _checks(run):
            figures = {w: pick(run.figures, w, what, scan, phase) for w in who}
            if figures.get(MONITOR):
                rows.append(_row(run, what + label, figures, who))
    for scan in (FIRST, SECOND):
        for what in GROUPS:
            figures = {w: pick(run.figures, w, what, scan) for w in who}
            if figures.get(MONITOR):
                rows.append(_row(run, f"{what}, {scan} scan", figures, who))
    head = ("check", *(NAMES[w] for w in who), "less than mapping cache", "less than page by page")
    n = next((f.ns.n for f in run.figures if (f.who, f.scan) == (MONITOR, LATER)), 0)
    notes = [
        f"Medians (quartiles) of {n} scans from the third on, in {unit(run)}, all of one boot, in turn.",
        f"The clock: {CLOCKS[run.clock]}.",
        "mapping cache: dom0 maps in batches once and never again. It can do no less, and does not see a"
        " frame that the guest exchanges. batched: dom0 maps anew in batches at each scan, as the monitor"
        " does.",
    ]
    return Table(f"A scan, {run.clock}", head, rows, notes)


def _row(run: Run, label: str, figures: dict[str, Figure | None], who: list[str]) -> tuple[str, ...]:
    ours = figures[MONITOR]
    cells = [_cell(run, figures[w]) for w in who]
    return (label, *cells, _gain(ours, figures.get(BEST)), _gain(ours, figures.get("dom0-single")))


def _parts(run: Run) -> Table:
    """What takes the time of a scan."""
    who = [w for w in _present(run) if w != LIBVMI]
    rows: list[tuple[str, ...]] = []
    for scan, label in ((FIRST, "first scan"), (LATER, "later")):
        for what in GROUPS:
            for phase in (*PARTS, WHOLE, REPORTING):
                name = "all of these" if phase == WHOLE else phase
                rows += _phase_row(run, f"{what}, {label}: {name}", who, what, (scan, phase))
    notes = [
        f"Medians (quartiles), {unit(run)}. reading: pages copied, and compared with copies. sites: patch"
        " sites, and the state that they depend on. other: page tables walked, lists followed, relocations"
        " taken back. reporting: the records of checks, beside what the checks take."
    ]
    return Table(f"Phases, {run.clock}", ("check", *(NAMES[w] for w in who)), rows, notes)


def _phase_row(
    run: Run, name: str, who: list[str], what: str, cost: tuple[str, str]
) -> list[tuple[str, ...]]:
    """The row called `name` with a scan's and phase's cost (`cost`); none if it was not measured."""
    figures = [pick(run.figures, w, what, *cost) for w in who]
    return [(name, *(_cell(run, figure) for figure in figures))] if any(figures) else []


def _digests(run: Run) -> Table:
    """The same code with digests alone on both sides."""
    who = [w for w in NAMES if pick(run.figures, w + DIGESTS, "all checks")]
    rows: list[tuple[str, ...]] = []
    for what in GROUPS:
        for phase in (WHOLE, *PARTS):
            name = what if phase == WHOLE else f"{what}, {phase}"
            rows += _phase_row(run, name, [w + DIGESTS for w in who], what, (LATER, phase))
    notes = [
        f"Medians (quartiles), {unit(run)}, of scans from the third on with"
        ' `golden.comparison = "digest"`: each digests every page in every scan, by the same code.'
        " There is no goal for it."
    ]
    return Table(f"A scan by digests, {run.clock}", ("check", *(NAMES[w] for w in who)), rows, notes)


def _incremental_checks(run: Run) -> Table:
    """What is done between scans, as a share of a scan's work."""
    scan = pick(run.figures, MONITOR, "all checks")
    rows: list[tuple[str, ...]] = []
    for f in run.figures:
        if (f.who, f.scan, f.phase) == (MONITOR, INCREMENTAL, WHOLE):
            share = f"{100 * f.ns.median / scan.ns.median:.2f} %" if scan else "–"
            # An incremental check consists of checks that have parts of their own.
            is_whole = f.what == INCREMENTAL_CHECK
            parts = [None if is_whole else pick(run.figures, MONITOR, f.what, INCREMENTAL, p) for p in PARTS]
            cells = (amount(run, p.ns.median) if p else "–" for p in parts)
            rows.append(("all of it" if is_whole else f.what, _cell(run, f), share, *cells))
    notes = [f"Medians (quartiles), {unit(run)}; the target runs and is idle."]
    head = ("what", unit(run), "of a scan of everything", *PARTS)
    return Table(f"Between scans, {run.clock}", head, rows, notes)


def _pages(run: Run) -> Table:
    """Cost of one page of text and rodata."""
    rows: list[tuple[str, ...]] = []
    what = "text + rodata"
    for who in _present(run):
        if who == LIBVMI:
            figure = pick(run.figures, who, "read")
            cells = (_per_page(run, figure), "–", "–")
        else:
            phases = (MAPPING, WORK, WHOLE)
            a, b, c = (_per_page(run, pick(run.figures, who, what, LATER, phase)) for phase in phases)
            cells = (a, b, c)
        rows.append((NAMES[who], *cells))
    pages = next((f.pages for f in run.figures if f.what == what and f.who == MONITOR), 0)
    each = "instructions" if run.clock == ICOUNT else "µs"
    notes = [
        f"{what}: {pages:,} pages, {each} a page, medians. LibVMI: vmi_read_pa of the same number of pages."
    ]
    return Table(f"A page, {run.clock}", ("who", "mapping", "other work", "whole"), rows, notes)


def _per_page(run: Run, figure: Figure | None) -> str:
    if figure is None or not figure.pages:
        return "–"
    ns = figure.ns.median / figure.pages
    return f"{ns:,.0f}" if run.clock == ICOUNT else f"{ns / 1e3:,.2f}"


def _limit(run: Run) -> Table:
    rows: list[tuple[str, ...]] = [
        (f.what, _cell(run, f), _per_page(run, f))
        for f in run.figures
        if f.who == LIMIT and (f.scan, f.phase) == (LATER, WHOLE)
    ]
    each = "instructions a page" if run.clock == ICOUNT else "µs a page"
    notes = [
        "A domain that does this alone, over as many pages of the target's kernel as text + rodata have."
    ]
    return Table(f"The limit, {run.clock}", ("what", unit(run), each), rows, notes)


def _starts(run: Run) -> Table:
    stages = ("hello", "kernel", "first-check", "first-scan")
    names = ("first record", "kernel found", "first verdict", "of all checks")
    rows: list[tuple[str, ...]] = []
    for who, timings in run.timings.items():
        cells = [_ms(timings[s]) if s in timings else "–" for s in stages]
        find = run.find_us.get(who)
        rows.append((_name(who), *cells, f"{find.median / 1e3:.3g}" if find else "–"))
    notes = ["ms from the domain's unpause or the process' start, medians (quartiles), as dom0 saw it."]
    return Table(f"From its start, {run.clock}", ("who", *names, "search alone"), rows, notes)


def _name(who: str) -> str:
    """The name in tables, with what it compares by."""
    base = who.removesuffix(DIGESTS)
    return NAMES.get(base, base) + who[len(base) :]


def _ms(spread: Spread) -> str:
    low, middle, high = (f"{1e3 * s:,.0f}" for s in (spread.q1, spread.median, spread.q3))
    return middle if low == high else f"{middle} ({low}–{high})"


def _write_latency(run: Run) -> Table | None:
    if not run.write_latency_ms:
        return None
    rows = [(check, *_distribution(s)) for check, s in run.write_latency_ms.items()]
    times = next(iter(run.write_latency_ms.values())).n
    notes = [
        f"ms from a write by the target's own kernel to the finding's record, {times} times each, between"
        " scans (incremental checks with the configured period). 20 ms of it is the wait before the monitor"
        " reads a mismatch again."
    ]
    head = ("target of the write", "least", "quartile", "median", "quartile", "most")
    return Table(f"From the target's write to record, {run.clock}", head, rows, notes)


def _distribution(s: Spread) -> tuple[str, ...]:
    return tuple(f"{v:,.0f}" for v in (s.least, s.q1, s.median, s.q3, s.most))


def _latency(run: Run) -> Table | None:
    s = run.latency_ms
    if s is None:
        return None
    row = _distribution(s)
    notes = [
        f"ms from dom0's write to the finding's record, {s.n} times,"
        f" a scan every {run.latency_period_ms} ms (± jitter).",
    ]
    head = ("", "least", "quartile", "median", "quartile", "most")
    return Table(f"From tamper to record, {run.clock}", head, [("a system call's pointer", *row)], notes)


def _slowdown(run: Run) -> Table | None:
    if not run.slowdown:
        return None
    periods = sorted({s.period_ms for s in run.slowdown if s.period_ms})
    rows: list[tuple[str, ...]] = []
    for work in dict.fromkeys(s.workload for s in run.slowdown):
        found = {s.period_ms: s.s.median for s in run.slowdown if s.workload == work}
        if 0 not in found:
            continue
        alone = found[0]
        cells = [f"{100 * (found[p] / alone - 1):+.1f} %" if p in found else "–" for p in periods]
        rows.append((work, f"{alone:.3g} s", *cells))
    head = ("work in the target", "no monitor", *(f"a scan every {p / 1000:g} s" for p in periods))
    notes = [
        "Medians of rounds in turn; the target has one processor, and so has the machine with icount. Each"
        " work takes about a second: few of them meet a scan every 10 s, all meet incremental checks."
    ]
    return Table(f"What the target pays, {run.clock}", head, rows, notes)


def _growth(run: Run) -> Table | None:
    if not run.growth:
        return None
    head = (
        *("target", "pages", "sites", DIGESTED, *registry.growing(), "all checks"),
        "kernel found, ms",
    )
    notes = [
        f"Medians, {unit(run)}, the monitor alone. pages: of text and rodata; sites: that the kernel patches."
    ]
    return Table(f"Growth, {run.clock}", head, [_growth_row(run, growth) for growth in run.growth], notes)


def _growth_row(run: Run, growth: Growth) -> tuple[str, ...]:
    verdicts = "" if growth.verdicts == ["intact"] else f" ({', '.join(growth.verdicts)})"
    sizes = (growth.pages, growth.sites)
    costs = (
        growth.paged_ns,
        *(growth.checks_ns.get(name) for name in registry.growing()),
        growth.all_ns,
    )
    return (
        growth.what + verdicts,
        *("–" if size is None else f"{size:,}" for size in sizes),
        *("–" if cost is None else amount(run, cost) for cost in costs),
        f"{growth.find_us / 1e3:.3g}",
    )


def _sizes(result: Result) -> Table:
    rows: list[tuple[str, ...]] = [(name, f"{value:,}") for name, value in result.sizes.items()]
    return Table("What must be trusted, and memory", ("what", "size"), rows)


def _builds(result: Result) -> Table:
    rows: list[tuple[str, ...]] = [(name, f"{seconds:.2f}") for name, seconds in result.build_s.items()]
    return Table(
        "To build a monitor, s", ("step", "wall-clock s"), rows, ["On this machine itself, not emulated."]
    )
