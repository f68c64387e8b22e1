"""Streams of records to test with."""

from typing import Any

from tinyvmi_build.records.protocol import format_record

BUILD_ID = "ab" * 20


def hello(**change: Any) -> dict[str, Any]:
    return {
        "type": "hello",
        "abi": 2,
        "image": "0123456789abcdef",
        "nonce": "feedfacefeedface",
        "target": 2,
        "base": "built-in",
        "base_rev": "sha256:00",
        "digest": "sha256/portable",
        "profiles": [{"build_id": BUILD_ID, "release": "6.1.0-test"}],
        "period_ms": 1000,
    } | change


def kernel(delta: int = 0) -> dict[str, Any]:
    return {
        "type": "kernel",
        "profile": 0,
        "build_id": BUILD_ID,
        "release": "6.1.0-test",
        "text_pa": "0x0000000001000000",
        "text_va": f"0x{0xFFFFFFFF81000000 + delta:016x}",
        "delta": f"0x{delta:016x}",
        "root_pa": "0x0000000002610000",
        "levels": 4,
        "duration_us": 5300,
    }


def check(name: str, verdict: str = "intact", scan: int = 1, **change: Any) -> dict[str, Any]:
    findings = 1 if verdict == "tampered" else 0
    return {
        "type": "check",
        "scan": scan,
        "check": name,
        "verdict": verdict,
        "items": 10,
        "findings": findings,
        "duration_us": 1500,
    } | change


def finding(name: str, scan: int = 1, **change: Any) -> dict[str, Any]:
    return {
        "type": "finding",
        "scan": scan,
        "check": name,
        "kind": "pointer",
        "symbol": "sys_call_table",
        "offset": 8,
        "address": "0xffffffff82000008",
        "expected": "10000081ffffffff",
        "actual": "20000081ffffffff",
    } | change


def notice(name: str, scan: int = 1, **change: Any) -> dict[str, Any]:
    return finding(name, scan, **({"kind": "kprobe", "target": "0xffffffff81000010"} | change)) | {
        "type": "notice"
    }


def beat(scan: int, verdict: str = "intact") -> dict[str, Any]:
    return {"type": "heartbeat", "scan": scan, "verdict": verdict, "uptime_ms": scan * 1000}


def bye(scan: int, verdict: str = "intact", reason: str = "scans-done") -> dict[str, Any]:
    return {"type": "bye", "scan": scan, "verdict": verdict, "reason": reason}


def lines(*bodies: dict[str, Any]) -> list[str]:
    """The bodies as console lines, numbered from 0."""
    return [format_record(seq, body) for seq, body in enumerate(bodies)]


CLEAN = (hello(), kernel(), check("identity"), check("idt"), beat(1), beat(2), bye(2))
