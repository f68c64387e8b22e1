"""Tables, JSON, document and plot of one result."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.bench.reported import line, lines, measured, result
from tinyvmi_build.bench.document import document, plot
from tinyvmi_build.bench.report import FOOT, tables
from tinyvmi_build.bench.result import ICOUNT, Growth, Result, Run, Slowdown
from tinyvmi_build.bench.statistics import spread
from tinyvmi_build.bench.summary import summarize
from tinyvmi_build.bench.table import Table
from tinyvmi_build.cli.main import run
from tinyvmi_build.errors import UsageError


def rows(found: list[Table], title: str) -> dict[str, tuple[str, ...]]:
    table = next(t for t in found if t.title.startswith(title))
    return {row[0]: row[1:] for row in table.rows}


def test_the_comparison() -> None:
    scan = rows(tables(result()), "A scan")
    # monitor, dom0 with a mapping cache, dom0 page by page; how much less than each of these
    assert scan["text + rodata"][0].startswith("1.01 (1–")
    assert scan["text + rodata"][-2:] == ("0.0 %", "89.9 %")
    assert scan["text + rodata, mapping"][-2:] == ("-400.0 %", "97.8 %")
    assert rows(tables(result()), "A page")["monitor"] == ("10", "40", "50")
    assert rows(tables(result()), "The limit")["map"][-1] == "20"


def test_goals_are_met_or_not() -> None:
    found = rows(tables(result()), "Goals")
    assert found["text + rodata, against dom0 page by page"] == ("≥ 95 % less", "89.9 % less", "NO")
    assert found["text, instructions"][-1] == "yes"
    figures = result()
    figures.sizes["  of it code, bytes"] = 200 << 10
    assert rows(tables(figures), "Goals")["image's code"] == ("≤ 192 KiB", "200 KiB", "NO")


def test_digests_are_held_against_digests_alone() -> None:
    assert rows(tables(result()), "A scan by digests")["text + rodata"] == ("100",)
    what = "text + rodata by digests, against a digest of own memory"
    assert rows(tables(result()), "Goals")[what] == ("≤ 1.3 times", "1.25 times", "yes")
    figures = result()
    figures.runs[0].figures = [f for f in figures.runs[0].figures if "digests" not in f.who]
    assert what not in rows(tables(figures), "Goals")
    assert not any(t.title.startswith("A scan by digests") for t in tables(figures))


def test_incremental_checks_have_phases() -> None:
    printed = lines()
    cost = {"scan": 1, "map_ns": 100, "map_pages": 1, "map_calls": 1, "incremental": 1}
    cost |= {"read_ns": 200, "sites_ns": 0, "hash_ns": 0, "report_ns": 0}
    printed += [
        line("monitor", 1, "cost", check=c, took_ns=ns, **cost)
        for c, ns in (("tracking", 890), ("text", 500), ("incremental", 900))
    ]
    run = Run(ICOUNT)
    summarize(run, measured(printed))
    all_tables = tables(Result("x", {}, "0", [run]))
    met = rows(all_tables, "Goals")
    assert met["an incremental check when idle, of a scan that digests"] == ("≤ 2 %", "0.90 %", "yes")
    assert met["an incremental check when idle, of a scan that compares"] == ("≤ 2 %", "84.51 %", "NO")
    assert met["the same without Xen's tracking"] == ("≤ 2 %", "0.94 %", "yes")
    found = rows(all_tables, "Between scans")
    assert found["text"] == ("0.5", "46.95 %", "0.1", "0.2", "0", "0", "0.2")
    assert found["all of it"] == ("0.9", "84.51 %", "–", "–", "–", "–", "–")


def test_goals_of_time_are_met_or_not() -> None:
    figures = result()
    figures.build_s = {"build": 30.0, "build of another monitor for that kernel": 3.2}
    figures.runs[0].timings["monitor"] |= {"first-check": spread([0.1, 0.12, 0.5])}
    found = rows(tables(figures), "Goals")
    assert found["first verdict of a check after the start"] == ("≤ 150 ms", "120 ms", "yes")
    assert found["build of another monitor for that kernel"] == ("≤ 3 s", "3.2 s", "NO")
    assert "build" not in found and "verdict of all checks after the start" not in found


def test_writes_by_the_target_are_reported_in_time_or_not() -> None:
    figures = result()
    quick, slow = spread([100.0, 140.0, 290.0]), spread([120.0, 151.0, 301.0])
    assert quick and slow
    figures.runs[0].write_latency_ms = {"text": quick, "rodata": slow}
    assert rows(tables(figures), "From the target's write")["text"] == ("100", "120", "140", "215", "290")
    found = rows(tables(figures), "Goals")
    assert [
        found[f"a write by the target to its {what}"][-1]
        for what in ("code, median", "code, most", "constants, median", "constants, most")
    ] == ["yes", "yes", "NO", "NO"]
    assert Result.parse(figures.text()) == figures


def test_phases_of_the_first_scan_and_later_ones() -> None:
    found = rows(tables(result()), "Phases")
    assert found["text + rodata, later: hashing"][0] == "0.202 (0.2–0.204)"
    assert found["text + rodata, first scan: all of these"][0] == "10"
    assert found["all checks, later: reporting"][0] == "0.012"


def test_slowdown_is_in_percent_of_the_time_without() -> None:
    figures = result()
    for period, seconds in ((0, 2.0), (1000, 2.1), (100, 3.0)):
        summary = spread([seconds])
        assert summary
        figures.runs[0].slowdown.append(Slowdown("cpu", period, summary))
    assert Result.parse(figures.text()) == figures
    table = next(t for t in tables(figures) if t.title.startswith("What the target pays"))
    assert table.head[2:] == ("a scan every 0.1 s", "a scan every 1 s")
    assert table.rows == [("cpu", "2 s", "+50.0 %", "+5.0 %")]


def test_growth_says_what_was_not_intact() -> None:
    figures = result()
    few = Growth("few", ["intact"], paged_ns=2e6, all_ns=3e6, find_us=4000, pages=20, sites=7)
    few = replace(few, checks_ns={"page-tables": 1e3, "modules": 5e3})
    many = replace(few, what="many", verdicts=["intact", "unverifiable"], pages=None, sites=None)
    figures.runs[0].growth = [few, many]
    assert Result.parse(figures.text()) == figures
    assert rows(tables(figures), "Growth") == {
        "few": ("20", "7", "2,000", "1", "–", "5", "3,000", "4"),
        "many (intact, unverifiable)": ("–", "–", "2,000", "1", "–", "5", "3,000", "4"),
    }


def test_results_are_joined() -> None:
    one, other = result(), result()
    one.absent, other.absent = ["a", "b"], ["b", "c"]
    other.command, other.sizes, other.build_s = "tinyvmi-build bench", {"x": 1}, {"build": 2.0}
    joined = Result.joined([one, other])
    assert len(joined.runs) == 2 and joined.absent == ["b"]
    assert joined.sizes == {"image, bytes": 12345, "x": 1} and joined.build_s == {"build": 2.0}
    assert joined.command == "tinyvmi-build bench --x` and `tinyvmi-build bench"


def test_json_holds_all_of_it() -> None:
    figures = result()
    figures.runs[0].latency_ms = spread([1.0, 2.0, 9.0])
    assert Result.parse(figures.text()) == figures


OTHER = [
    '{"schema": "tinyvmi.bench", "version": 0}',
    '{"schema": "tinyvmi.bench", "version": 1}',
    '{"schema": "tinyvmi.bench", "version": 1, "runs": 7}',
]


@pytest.mark.parametrize("text", ["", "[]", "{}", *OTHER])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Result.parse(text)


def test_text_and_markdown_are_of_the_same_cells() -> None:
    table = Table("T", ("what", "n"), [("a|b", "1"), ("long name", "12345")], ["a note"])
    assert table.text().splitlines() == [
        "T",
        "  what           n",
        "  ----------------",
        "  a|b            1",
        "  long name  12345",
        "  a note",
    ]
    assert "| a\\|b | 1 |" in table.markdown() and "|---|---:|" in table.markdown()


def test_the_document_says_how_and_where() -> None:
    text = document(result(), "p.svg")
    assert "`tinyvmi-build bench --x`" in text and "processor a <small> one." in text
    assert "![Cost of a scan](p.svg)" in text and FOOT in text
    assert "mapping alone 97.8 % less (icount)" in text
    assert "Not measured" not in text
    figures = result()
    figures.runs[0].failed.append("limit, round 1: no memory")
    assert "- icount: limit, round 1: no memory" in document(figures, None)


def test_the_plot_is_svg_with_a_bar_for_each() -> None:
    figures = result()
    figures.command = "a < b & c"
    root = ElementTree.fromstring(plot(figures))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"monitor", "dom0, mapping cache", "dom0, page by page", "hashing", "reading"} <= set(texts)
    assert [t for t in texts if t and t.startswith("text + rodata")] == [
        "text + rodata, thousand instructions (icount)",
        "text + rodata, digests, thousand instructions (icount)",
    ]
    widths = [int(e.get("width", "0").rstrip("%")) for e in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert max(widths) <= 520 and widths.count(0) <= 1


def test_figures_can_be_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, doc = tmp_path / "b.json", tmp_path / "b.md"
    saved.write_text(result().text())
    assert run(["bench", "--from", str(saved), "--doc", str(doc)]) == 0
    out = capsys.readouterr().out
    assert "A scan, icount" in out and FOOT in out
    assert doc.read_text().startswith("# Performance")
    assert run(["bench", "--from", str(saved), "--json"]) == 0
    assert Result.parse(capsys.readouterr().out) == result()


def test_without_xen_there_is_no_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyvmi_build.xen.xl.CAPABILITIES", Path("/nonexistent"))
    assert run(["bench", "--host", "--target", "web"]) == 4
    assert "Xen" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--host"], ["--target", "web"], ["--rounds", "0"], ["--libvmi", "/nonexistent"]]
)
def test_wrong_usage(words: list[str]) -> None:
    assert run(["bench", *words]) == 2
