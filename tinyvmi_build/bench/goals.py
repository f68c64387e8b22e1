"""The goals of the project, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from tinyvmi_build.bench.figures import DIGESTED, INCREMENTAL, LATER, MAPPING, PAGED, WHOLE, Figure, pick
from tinyvmi_build.bench.plan import DIGESTS, INCREMENTAL_CHECK, LIBVMI, LIMIT, MONITOR, TRACKING
from tinyvmi_build.bench.result import ICOUNT, Result, Run
from tinyvmi_build.bench.statistics import less
from tinyvmi_build.bench.table import Table
from tinyvmi_build.checks import registry

_SCAN = DIGESTED
_INSTRUCTIONS_MAX = 7_000_000
_INCREMENTAL_MAX = 2.0  # percent of a scan of everything
_IMAGE_MAX = 192 << 10  # bytes, without golden values
_DIGEST_MAX = 1.3  # times what the digests alone take
_WRITE_MAX = 150, 300  # ms: median, most
_BUILD_MAX = 3.0  # s
_BUILDS = ("build after a change of the configuration", "build of another monitor for that kernel")


def goals(result: Result) -> Table:
    """The goals and the figures of the run that counts instructions, if there is one, else of the first."""
    runs = sorted(result.runs, key=lambda run: run.clock != ICOUNT)
    rows: list[tuple[str, ...]] = [*_of_run(runs[0])] if runs else []
    code = result.sizes.get("  of it code, bytes")
    if code is not None:
        rows.append(
            _row("image's code", f"≤ {_IMAGE_MAX >> 10} KiB", f"{code / 1024:.0f} KiB", code <= _IMAGE_MAX)
        )
    for step in _BUILDS:
        if step in result.build_s:
            s = result.build_s[step]
            rows.append(_row(step, f"≤ {_BUILD_MAX:g} s", f"{s:.1f} s", s <= _BUILD_MAX))
    clock = runs[0].clock if runs else "nothing"
    return Table(f"Goals, {clock}", ("what", "goal", "reached", "met"), rows)


def _of_run(run: Run) -> Iterator[tuple[str, ...]]:
    ours, mapping = _ours(run, WHOLE), _ours(run, MAPPING)
    libvmi = pick(run.figures, LIBVMI, "read")
    if ours is None or mapping is None:
        return
    batched, single = ("dom0-revalidate", "dom0-single")
    pairs: list[tuple[str, Figure, Figure | None, float]] = [
        ("mapping, against LibVMI's reading", mapping, libvmi, 95),
        ("mapping, against dom0 in batches", mapping, pick(run.figures, batched, _SCAN, LATER, MAPPING), 65),
        (f"{_SCAN}, against LibVMI's reading alone", ours, libvmi, 95),
        (f"{_SCAN}, against dom0 page by page", ours, pick(run.figures, single, _SCAN), 95),
        (f"{_SCAN}, against dom0 in batches", ours, pick(run.figures, batched, _SCAN), 55),
        (f"{_SCAN}, against dom0 with a mapping cache", ours, pick(run.figures, "dom0-batched", _SCAN), 55),
    ]
    for what, mine, theirs, goal in pairs:
        if theirs is not None:
            gain = less(mine.ns.median, theirs.ns.median)
            yield _row(what, f"≥ {goal:g} % less", f"{gain:.1f} % less", gain >= goal)
    largest = pick(run.figures, MONITOR, PAGED[0])
    if run.clock == ICOUNT and largest:
        count = largest.ns.median
        yield _row(
            f"{PAGED[0]}, instructions",
            f"≤ {_INSTRUCTIONS_MAX / 1e6:g} million",
            f"{count / 1e6:.1f} million",
            count <= _INSTRUCTIONS_MAX,
        )
    yield from _of_incremental_checks(run)
    yield from _of_digests(run)
    yield from _of_times(run)


def _of_incremental_checks(run: Run) -> Iterator[tuple[str, ...]]:
    """What an incremental check costs when nothing was written; Xen's tracking is most of it."""
    check = pick(run.figures, MONITOR, INCREMENTAL_CHECK, INCREMENTAL)
    tracking = pick(run.figures, MONITOR, TRACKING, INCREMENTAL)
    compared = pick(run.figures, MONITOR, "all checks")
    digested = pick(run.figures, MONITOR + DIGESTS, "all checks")
    if check is None:
        return
    whole, own = check.ns.median, check.ns.median - tracking.ns.median if tracking else None
    for what, ns, scan in (
        ("an incremental check when idle, of a scan that digests", whole, digested),
        ("an incremental check when idle, of a scan that compares", whole, compared),
        ("the same without Xen's tracking", own, compared),
    ):
        if ns is not None and scan:
            share = 100 * ns / scan.ns.median
            yield _row(what, f"≤ {_INCREMENTAL_MAX:g} %", f"{share:.2f} %", share <= _INCREMENTAL_MAX)


def _of_digests(run: Run) -> Iterator[tuple[str, ...]]:
    """Compare a monitor that digests everything in every scan with digesting alone."""
    ours = pick(run.figures, MONITOR + DIGESTS, _SCAN)
    limit = pick(run.figures, LIMIT, "digest of own memory")
    if ours and limit:
        times = ours.ns.median / limit.ns.median
        what = f"{_SCAN} by digests, against a digest of own memory"
        yield _row(what, f"≤ {_DIGEST_MAX:g} times", f"{times:.2f} times", times <= _DIGEST_MAX)


def _of_times(run: Run) -> Iterator[tuple[str, ...]]:
    timings = run.timings.get(MONITOR, {})
    for stage, what, most in (
        ("first-check", "first verdict of a check after the start", 0.15),
        ("first-scan", "verdict of all checks after the start", 1.0),
    ):
        if stage in timings:
            s = timings[stage].median
            yield _row(what, f"≤ {1000 * most:g} ms", f"{1000 * s:.0f} ms", s <= most)
    for check, latency in run.write_latency_ms.items():
        median, most_ms = _WRITE_MAX
        for name, ms, limit in (("median", latency.median, median), ("most", latency.most, most_ms)):
            what = f"a write by the target to {_covered_by(check)}, {name}"
            yield _row(what, f"≤ {limit} ms", f"{ms:.0f} ms", ms <= limit)


def _covered_by(check: str) -> str:
    found = registry.find(check)
    return (found and found.covers) or check


def _ours(run: Run, phase: str) -> Figure | None:
    return pick(run.figures, MONITOR, _SCAN, LATER, phase)


def _row(what: str, goal: str, reached: str, met: bool) -> tuple[str, ...]:
    return what, goal, reached, "yes" if met else "NO"
