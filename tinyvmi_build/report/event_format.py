"""The objects of `launch --json`, `check --json` and `lab run --json`, described once.

The JSON Schema (events.schema.json) and the page docs/reference/events.md follow from these dataclasses
(event_reference.py); a test holds them against what json_lines.py writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Union

from tinyvmi_build import json_output
from tinyvmi_build.records import fields
from tinyvmi_build.records.fields import COUNT, TEXT, VERDICT, Kind


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _or_null(kind: Kind) -> Kind:
    return Kind(
        f"{kind.words} or null",
        {"anyOf": [dict(kind.schema), {"type": "null"}]},
        lambda value: value is None or kind.holds(value),
    )


def _map_to(kind: Kind, words: str) -> Kind:
    return Kind(
        words,
        {"type": "object", "additionalProperties": dict(kind.schema)},
        lambda value: isinstance(value, dict) and all(map(kind.holds, value.values())),
    )


def _object(described: type, words: str) -> Kind:
    return Kind(
        words,
        fields.object_schema(described),
        lambda value: isinstance(value, dict) and fields.shape_error(described, words, value) is None,
    )


def _list(kind: Kind, words: str) -> Kind:
    return Kind(
        words,
        {"type": "array", "items": dict(kind.schema)},
        lambda value: isinstance(value, list) and all(map(kind.holds, value)),
    )


_NAME = json_output.schema_name("event")
SCHEMA = Kind(f"`{_NAME}`", {"const": _NAME}, lambda value: value == _NAME)
VERSION = fields.exactly(json_output.VERSIONS["event"])
NUMBER = Kind("number", {"type": "number", "minimum": 0}, _is_number)
ANY_OBJECT = Kind("object", {"type": "object"}, lambda value: isinstance(value, dict))
TIME = Kind("time", {"type": "string", "format": "date-time"}, lambda value: isinstance(value, str))
TEXTS = _list(TEXT, "list of texts")
OUTCOME = Kind(
    "verdict, `lost` or `nothing-checked`",
    {"enum": [*(VERDICT.schema["enum"]), "lost", "nothing-checked"]},  # type: ignore[misc]
    lambda value: isinstance(value, str),
)


@dataclass(frozen=True)
class Common:
    """What every object begins with."""

    schema: Annotated[str, SCHEMA, "what it is"]
    version: Annotated[int, VERSION, "grows when a field changes its meaning or goes"]
    event: Annotated[str, TEXT, "which of the events below it is"]
    time: Annotated[str, TIME, "RFC 3339, UTC"]
    host: Annotated[str, TEXT, "the name of this dom0, or of the machine that checks an image"]
    target: Annotated[str, TEXT, "the name under which the target is watched, or of the image"] = ""


@dataclass(frozen=True)
class WorstRow:
    """A row of worst times."""

    change: Annotated[str, TEXT, "what kind of change"]
    seconds: Annotated[float, NUMBER, "from the change to its report, at worst"]
    formula: Annotated[str, TEXT, "that gives it"]
    check: Annotated[str, TEXT, "the slowest check that reports it"]


@dataclass(frozen=True)
class CheckSummary:
    """One check at the end of a run."""

    verdict: Annotated[str, VERDICT, "of its latest record"]
    worst: Annotated[str, VERDICT, "in this run"]
    items: Annotated[int, COUNT, "what it compared"]
    findings: Annotated[int, COUNT, "how many"]
    notices: Annotated[int, COUNT, "how many"]
    duration_us: Annotated[int, COUNT, "how long it took"]
    reason: Annotated[str, TEXT, "why it is unverifiable"] = ""


WORST_ROWS = _list(_object(WorstRow, "row"), "list of {`change`, `seconds`, `formula`, `check`}")


@dataclass(frozen=True)
class WorstTimesFields:
    """The worst times to detection."""

    scan_s: Annotated[float, NUMBER, "how long a scan takes"]
    rows: Annotated[list[WorstRow], WORST_ROWS, "a kind of change each"]


@dataclass(frozen=True)
class Attached:
    """A monitor is about to watch a domain.  Once for each run."""

    event: ClassVar[str] = "attached"
    target_domain: Annotated[int, COUNT, "its number"]
    monitor_domain: Annotated[int, COUNT, "the number of the monitor's domain"]


@dataclass(frozen=True)
class Record:
    """A record of the monitor (records.md)."""

    event: ClassVar[str] = "record"
    seq: Annotated[int, COUNT, "its number"]
    record: Annotated[object, ANY_OBJECT, "its JSON object"]
    explained: Annotated[object, ANY_OBJECT, "of a finding or notice: what the profile knows about it"] = None


@dataclass(frozen=True)
class TextLine:
    """A line of the monitor's console that is no record.  It may hold anything."""

    event: ClassVar[str] = "text"
    text: Annotated[str, TEXT, "the line"]


@dataclass(frozen=True)
class Broken:
    """The record stream is damaged; `lost` follows."""

    event: ClassVar[str] = "broken"
    reason: Annotated[str, TEXT, "what is wrong"]
    line: Annotated[str, TEXT, "the line, if one line is"]


@dataclass(frozen=True)
class Scan:
    """A scan is complete."""

    event: ClassVar[str] = "scan"
    scan: Annotated[int, COUNT, "how many are"]
    verdict: Annotated[str, VERDICT, "of this one"]


@dataclass(frozen=True)
class WorstTimes(WorstTimesFields):
    """The worst times to detection that follow from the first scan (design/scheduling.md).

    Again when they change.
    """

    event: ClassVar[str] = "worst-times"


@dataclass(frozen=True)
class Status:
    """Nothing has changed for `--status-every`."""

    event: ClassVar[str] = "status"
    verdict: Annotated[str, VERDICT, "of all scans since then"]
    seconds: Annotated[float, NUMBER, "how long it has been so"]
    scans: Annotated[int, COUNT, "over how many scans"]


@dataclass(frozen=True)
class Lost:
    """The monitor is lost: it crashed, fell silent, or broke its record stream."""

    event: ClassVar[str] = "lost"
    reason: Annotated[str, TEXT, "how"]


@dataclass(frozen=True)
class Stopped:
    """A signal asked the run to end."""

    event: ClassVar[str] = "stopped"
    reason: Annotated[str, TEXT, "which"]


@dataclass(frozen=True)
class Finished:
    """The monitor sent its last record."""

    event: ClassVar[str] = "finished"
    reason: Annotated[str, TEXT, "why it ends"]
    verdict: Annotated[str | None, _or_null(VERDICT), "of the run; null if nothing was checked"]


@dataclass(frozen=True)
class Run:
    """A run is over, and another one follows: the target's domain ended."""

    event: ClassVar[str] = "run"
    exit: Annotated[int, COUNT, "the exit status"]
    outcome: Annotated[str, OUTCOME, "what the run came to"]
    verdict: Annotated[str | None, _or_null(VERDICT), "the worst that was seen; null if nothing was checked"]
    lost: Annotated[str | None, _or_null(TEXT), "how the monitor was lost"]
    stopped: Annotated[str | None, _or_null(TEXT), "which signal ended the run"]
    scans: Annotated[int, COUNT, "that were complete"]
    bye: Annotated[str | None, _or_null(TEXT), "the reason of the monitor's last record"]
    waiting: Annotated[str | None, _or_null(TEXT), "why nothing can be checked"]
    missing: Annotated[list[str], TEXTS, "checks that have not reported"]
    timings: Annotated[
        dict[str, float],
        _map_to(NUMBER, "name → seconds"),
        "from the monitor's start to `hello`, `kernel`, `first-check`, `first-scan`",
    ]
    checks: Annotated[
        dict[str, CheckSummary],
        _map_to(_object(CheckSummary, "check"), "name → object"),
        "`verdict`, `worst`, `items`, `findings`, `notices`, `duration_us`, `reason` of each",
    ]
    worst_times: Annotated[
        WorstTimesFields | None, _object(WorstTimesFields, "{`scan_s`, `rows`}"), "as in `worst-times`"
    ] = None
    digested: Annotated[int, COUNT, "pages of which there are no copies, for want of memory"] = 0


@dataclass(frozen=True)
class Result(Run):
    """The last object: the fields of `run` for the last run, and the exit status of all runs."""

    event: ClassVar[str] = "result"
    runs: Annotated[int, COUNT, "how many there were"] = 1


@dataclass(frozen=True)
class Dump:
    """`check`: the memory image that is checked."""

    event: ClassVar[str] = "dump"
    file: Annotated[str, TEXT, "its path"]
    format: Annotated[str, TEXT, "of the file"]
    frames: Annotated[int, COUNT, "of memory in it"]
    ranges: Annotated[int, COUNT, "that these lie in"]


@dataclass(frozen=True)
class NoKernel:
    """`check`: why no kernel was found.  Follows `result`."""

    event: ClassVar[str] = "no-kernel"
    banners: Annotated[list[str], TEXTS, "of Linux that are in the image"]
    known: Annotated[list[str], TEXTS, "releases that the profile knows"]


@dataclass(frozen=True)
class Scenario:
    """`lab run`: a scenario begins."""

    event: ClassVar[str] = "scenario"
    name: Annotated[str, TEXT, "of it"]
    description: Annotated[str, TEXT, "what it shows"]


@dataclass(frozen=True)
class Lab:
    """`lab run`: the end."""

    event: ClassVar[str] = "lab"
    exit: Annotated[int, COUNT, "the exit status"]
    scenarios: Annotated[
        object, ANY_OBJECT, "name → list of steps: {`title`, `expected`, `got`, `ok`, `note`, `exit`}"
    ]


Described = Union[  # noqa: UP007
    Attached, Record, TextLine, Broken, Scan, WorstTimes, Status, Lost, Stopped, Finished, Run, Result, Dump,
    NoKernel, Scenario, Lab,
]  # fmt: skip
EVENTS: tuple[type[Described], ...] = (
    Attached, Record, TextLine, Broken, Scan, WorstTimes, Status, Lost, Stopped, Finished, Run, Result, Dump,
    NoKernel, Scenario, Lab,
)  # fmt: skip
