"""The records of a monitor, described once.

Everything else follows from these dataclasses: what protocol.py accepts, the JSON Schema
(records.schema.json), the page docs/reference/records.md.  The C code that writes the records
(minios_app/monitor/) is held equal by tests/unit/records/test_writers.py.

A docstring is the text of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from tinyvmi_build.records import fields
from tinyvmi_build.records.fields import ADDRESS, BUILD_ID, COUNT, HEX, IMAGE_ID, NONCE, TEXT, VERDICT
from tinyvmi_build.records.verdict import Verdict

ABI = 2  # grows when a field changes its meaning or goes; a field may be added without


@dataclass(frozen=True)
class KernelName:
    """One of the kernels that an image knows."""

    build_id: Annotated[str, BUILD_ID, "of its file"]
    release: Annotated[str, TEXT, "as `uname -r` prints it"]


@dataclass(frozen=True)
class Hello:
    """The first record of a run: which monitor this is, and which domain it watches."""

    type: ClassVar[str] = "hello"
    abi: Annotated[int, fields.exactly(ABI), "the version of this format"]
    image: Annotated[str, IMAGE_ID, "the image id"]
    nonce: Annotated[str, NONCE, "the number that `launch` gave to this run"]
    target: Annotated[int, COUNT, "the number of the domain that is watched"]
    base: Annotated[str, TEXT, "`built-in` or `mini-os`"]
    base_rev: Annotated[str, TEXT, "the revision of that base, as in the image's note"]
    digest: Annotated[str, TEXT, "algorithm and variant, such as `sha256/portable`"]
    profiles: Annotated[
        tuple[KernelName, ...],
        fields.list_of(KernelName, "list of {`build_id`, `release`}"),
        "the kernels that the image knows",
    ]
    period_ms: Annotated[int, COUNT, "from one scan to the next"]


@dataclass(frozen=True)
class KernelFound:
    """A kernel was found.  Sent again when another one is: after kexec, or after a reset."""

    type: ClassVar[str] = "kernel"
    profile: Annotated[int, COUNT, "its index in the `profiles` of `hello`"]
    build_id: Annotated[str, BUILD_ID, "of the profile"]
    release: Annotated[str, TEXT, "of the profile"]
    text_pa: Annotated[str, ADDRESS, "physical address of `_text`"]
    text_va: Annotated[str, ADDRESS, "virtual address of `_text`"]
    delta: Annotated[str, ADDRESS, "how far KASLR moved the kernel"]
    root_pa: Annotated[str, ADDRESS, "its top page table; a machine address if `pv`"]
    levels: Annotated[int, fields.one_of(4, 5), "of page tables"]
    duration_us: Annotated[int, COUNT, "the work to find it"]
    pv: Annotated[int, fields.exactly(1), "the target is a PV guest"] = 0


@dataclass(frozen=True)
class CheckDone:
    """What one check found.

    Sent in the first scan, and whenever verdict, findings, notices or reason change: in a scan, or
    in an incremental check between two.  An incremental check that changes the verdict counts as a
    scan.
    """

    type: ClassVar[str] = "check"
    scan: Annotated[int, COUNT, "scans that were complete when it ran"]
    check: Annotated[str, TEXT, "its name"]
    verdict: Annotated[Verdict, VERDICT, "what it comes to"]
    items: Annotated[int, COUNT, "what it compared: pages, gates, pointers"]
    findings: Annotated[int, COUNT, "how many there are, which may be more than records"]
    duration_us: Annotated[int, COUNT, "how long it took"]
    notices: Annotated[int, COUNT, "how many there are, if any"] = 0
    reason: Annotated[str, TEXT, "why it is unverifiable or an error"] = ""


@dataclass(frozen=True)
class Finding:
    """One difference from the golden values.  At most 16 a check and scan."""

    type: ClassVar[str] = "finding"
    scan: Annotated[int, COUNT, "scans that were complete when it was found"]
    check: Annotated[str, TEXT, "the check that found it"]
    kind: Annotated[str, TEXT, "what differs, such as `page-digest`, `pointer`, `gate`"]
    symbol: Annotated[str, TEXT, "the object of the kernel that it lies in"]
    offset: Annotated[int, COUNT, "from that symbol, in bytes, modulo 2^64"]
    address: Annotated[str, ADDRESS, "virtual"]
    expected: Annotated[str, HEX, "what should be there; empty if the monitor has its digest only"]
    actual: Annotated[str, HEX, "what is there"]
    target: Annotated[str, ADDRESS, "where it leads"] = ""
    owner: Annotated[str, TEXT, "what the guest calls its maker, such as a BPF program"] = ""
    note: Annotated[str, TEXT, "more about it"] = ""


@dataclass(frozen=True)
class Notice(Finding):
    """A difference that the configuration allows (`[checks.text]`).  It changes no verdict.

    At most 16 a check and scan.
    """

    type: ClassVar[str] = "notice"


@dataclass(frozen=True)
class Cost:
    """What one check of one scan cost.  Sent after the scan, if `launch --costs` asks for it."""

    type: ClassVar[str] = "cost"
    scan: Annotated[int, COUNT, "scans that were complete when it ran"]
    check: Annotated[
        str,
        TEXT,
        "its name; `incremental` is all work of an incremental check,"
        " `tracking` what Xen took to say which frames were written",
    ]
    took_ns: Annotated[int, COUNT, "in all"]
    map_ns: Annotated[int, COUNT, "of it: to map memory"]
    map_pages: Annotated[int, COUNT, "how many pages that were"]
    map_calls: Annotated[int, COUNT, "and in how many calls"]
    read_ns: Annotated[int, COUNT, "of it: to copy pages and compare them with copies"] = 0
    sites_ns: Annotated[int, COUNT, "of it: at patch sites, and for the state they depend on"] = 0
    hash_ns: Annotated[int, COUNT, "of it: to digest pages"] = 0
    report_ns: Annotated[int, COUNT, "beside it: to write the records of that check"] = 0
    incremental: Annotated[int, fields.exactly(1), "an incremental check, not a whole one"] = 0


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life: after each scan, and at least once per `monitor.heartbeat`.

    A check that takes longer than that delays it.
    """

    type: ClassVar[str] = "heartbeat"
    scan: Annotated[int, COUNT, "scans that are complete"]
    verdict: Annotated[Verdict, VERDICT, "of the last one"]
    uptime_ms: Annotated[int, COUNT, "since the monitor started"]


@dataclass(frozen=True)
class Tracking:
    """Whether Xen reports which frames the target writes.  Sent for each kernel, and on a change."""

    type: ClassVar[str] = "tracking"
    frames: Annotated[int, COUNT, "of the kernel that are tracked; 0 if there are none"]
    reason: Annotated[str, TEXT, "why none is tracked"] = ""


@dataclass(frozen=True)
class Memory:
    """The monitor has too little memory to copy all pages it compares byte by byte.

    Sent once for each kernel that is found, after the first scan.
    """

    type: ClassVar[str] = "memory"
    cached: Annotated[int, COUNT, "pages that are compared with copies"]
    digested: Annotated[int, COUNT, "pages that are digested: as safe, but slower"]


@dataclass(frozen=True)
class Waiting:
    """Nothing can be checked now.

    Such time counts no scan; after a first scan it makes the run unverifiable.
    """

    type: ClassVar[str] = "waiting"
    reason: Annotated[str, TEXT, "why: no known kernel, a kernel that boots or stopped"]
    banner: Annotated[str, TEXT, "what the memory of an unknown kernel says of it"] = ""


@dataclass(frozen=True)
class MonitorFault:
    """Something that the monitor cannot do.  A `bye` follows if it gives up."""

    type: ClassVar[str] = "error"
    where: Annotated[str, TEXT, "which part of the monitor"]
    what: Annotated[str, TEXT, "what went wrong"]


@dataclass(frozen=True)
class Bye:
    """The last record of a run."""

    type: ClassVar[str] = "bye"
    scan: Annotated[int, COUNT, "scans that were complete"]
    verdict: Annotated[Verdict, VERDICT, "of the whole run"]
    reason: Annotated[str, TEXT, "such as `scans-done`, `target-gone`, `no-target`, `no-privilege`"]


RecordData = (
    Hello | KernelFound | CheckDone | Finding | Cost | Heartbeat | Tracking | Memory | Waiting
    | MonitorFault | Bye
)  # fmt: skip
#: In the order in which a run has them.
TYPES: tuple[type[RecordData], ...] = (
    Hello, KernelFound, CheckDone, Finding, Notice, Cost, Heartbeat, Tracking, Memory, Waiting,
    MonitorFault, Bye,
)  # fmt: skip
BY_NAME: Mapping[str, type[RecordData]] = {described.type: described for described in TYPES}


def shape_error(body: Mapping[str, object]) -> str | None:
    """What is wrong with the fields of a record; None if nothing is, or its type is unknown."""
    described = BY_NAME.get(str(body["type"]))
    return fields.shape_error(described, f"{described.type} record", body) if described else None


def read(body: Mapping[str, object]) -> RecordData | None:
    """A record in which shape_error() finds nothing; None if its type is unknown."""
    described = BY_NAME.get(str(body["type"]))
    return fields.read(described, body) if described else None
