"""Kprobes, BPF and livepatch: findings unless the configuration allows them, and never silent."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dump.circumstances import named
from tests.dump.conftest import Checked
from tests.dump.guest_programs import bpf_loader, livepatch_module
from tests.dump.test_text_tracing import KERNEL, Traced, copy_of, only
from tests.dump.text_subject import TextSubject
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.tamper import branch
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.timeouts import timeout

ALL = ("kprobes", "bpf", "livepatch")
_BPF = "bpf fentry vfs_read & bpf fentry vfs_write & bpf xdp & sleep 4; "
_BPF += "test $(ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c bin/bpf) = 3"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> TextSubject:
    return TextSubject(tmp_path_factory.mktemp("strict"), *KERNEL)


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> TextSubject:
    """The same kernel with everything allowed."""
    return TextSubject(tmp_path_factory.mktemp("lax"), *KERNEL, allow=ALL)


def notices(checked: Checked) -> list[dict[str, object]]:
    return [r for r in checked.records if r["type"] == "notice"]


@pytest.fixture(scope="module")
def probed(lax: TextSubject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with copy_of(lax, lax.dump(named("kprobe-twice")), tmp_path_factory.mktemp("probed")) as made:
        yield made


def test_kprobes_are_reported_either_way(strict: TextSubject, lax: TextSubject) -> None:
    dump = lax.dump(named("kprobe-twice"))
    checked = lax.check(dump)
    reported = notices(checked)
    assert checked.exit == 0 and not checked.findings("text")
    assert {f["kind"] for f in reported} == {"kprobe"} and len(reported) == 4
    assert checked.collector.checks["text"].notices == 4
    assert checked.collector.checks["text"].verdict.value == "intact"
    found = strict.check(dump)
    assert found.exit == 5 and not notices(found)
    keys = ("kind", "address", "actual", "target")
    assert [[f[k] for k in keys] for f in found.findings("text")] == [[n[k] for k in keys] for n in reported]


def _probes(traced: Traced) -> list[int]:
    """Addresses of the armed struct kprobe."""
    kprobes, found = traced.golden.kprobes, []
    for bucket in range(kprobes.buckets):
        at = traced.memory.pointer(traced.text + kprobes.table + 8 * bucket)
        while at:
            found.append(at - kprobes.hlist)
            at = traced.memory.pointer(at)
    return found


def _optimised(traced: Traced) -> list[int]:
    flags = traced.golden.kprobes.flags
    return [p for p in _probes(traced) if int.from_bytes(traced.memory.peek(p + flags, 4), "little") & 4]


def test_a_handler_must_be_verified_code(probed: Traced) -> None:
    kprobes = probed.golden.kprobes
    for kp in _probes(probed):
        va = probed.memory.pointer(kp + kprobes.addr)
        own = kp
        if probed.memory.pointer(kp + kprobes.pre_handler) == probed.text + kprobes.aggr_pre_handler:
            own = probed.memory.pointer(kp + kprobes.list) - kprobes.list
        for target in (
            probed.va("vfs_write") + 5,
            probed.memory.pointer(kp + kprobes.slot) or 0xFFFFFFFFC0000000,
        ):
            finding = only(
                probed.findings((own + kprobes.pre_handler, struct.pack("<Q", target))), "kprobe", va
            )
            assert finding["target"] == f"{target:#018x}" and "handler" in str(finding["note"])


def test_the_jump_of_a_probe_leads_to_its_slot(probed: Traced) -> None:
    kp = _optimised(probed)[0]
    va = probed.memory.pointer(kp + probed.golden.kprobes.addr)
    code = branch(0xE9, va, probed.va("vfs_write"))
    findings = probed.findings((va, code))
    assert findings and {f["kind"] for f in findings} == {"text-bytes"}


def test_a_breakpoint_without_a_probe(probed: Traced) -> None:
    va = probed.va("ksys_read") + 40
    place = next(at for at in range(va, va + 64) if not probed.subject.places.at(at - probed.memory.delta))
    assert [f["kind"] for f in probed.findings((place, b"\xcc"))] == ["text-bytes"]


def test_every_byte_of_a_slot(probed: Traced) -> None:
    """What runs instead of a probed instruction: the detour of an optimised one, and the single step."""
    kprobes = probed.golden.kprobes
    template = len(kprobes.template)
    kp = _optimised(probed)[0]
    va = probed.memory.pointer(kp + kprobes.addr)
    detour = probed.memory.pointer(kp + kprobes.optimized)
    copied = int.from_bytes(probed.memory.peek(kp + kprobes.optimized_size, 4), "little")
    step = probed.memory.pointer(kp + kprobes.slot)
    places = [detour + at for at in (0, kprobes.template_val + 3, kprobes.template_call + 1, template - 1)]
    places += [detour + template + at for at in range(copied + 5)] + [step, step + 1]
    for at in places:
        old = probed.memory.peek(at, 1)
        finding = only(probed.findings((at, bytes([old[0] ^ 0x08]))), "kprobe-slot", at)
        assert str(finding["expected"]).startswith(old.hex()) and finding["target"] == f"{va:#018x}"


def test_hostile_probes_end(probed: Traced) -> None:
    kprobes = probed.golden.kprobes
    kp = _probes(probed)[0]
    for name, where, value in (
        ("a bucket in a circle", kp + kprobes.hlist, kp + kprobes.hlist),
        ("children in a circle", kp + kprobes.list, kp + 8),
        ("a slot nowhere", kp + kprobes.slot, 0x1000),
        ("a detour nowhere", kp + kprobes.optimized, 1 << 63),
    ):
        begin = time.monotonic()
        with probed.changed((where, struct.pack("<Q", value))) as checked:
            assert checked.exit in (0, 3, 5), name
        assert time.monotonic() - begin < timeout(20), name


@pytest.fixture(scope="module")
def bpf_dump(lax: TextSubject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel with two programs at functions' entries, and one at the loopback device."""
    loader = bpf_loader(tmp_path_factory.mktemp("bpf"))
    return raw_dump(lax.package, DumpOptions(lax.memory_mib, files={"bin/bpf": loader}, script=_BPF))


@pytest.fixture(scope="module")
def hooked(lax: TextSubject, bpf_dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with copy_of(lax, bpf_dump, tmp_path_factory.mktemp("hooked")) as made:
        yield made


def test_bpf_is_reported_by_name(strict: TextSubject, lax: TextSubject, bpf_dump: Path) -> None:
    checked = lax.check(bpf_dump)
    assert checked.exit == 0, checked.findings("text")
    owners = sorted(str(n["owner"]) for n in notices(checked))
    assert owners[0] == "bpf_dispatcher_xdp" and len(owners) == 3
    assert all(name.startswith("bpf_trampoline_") for name in owners[1:])
    assert all("cannot be verified" in str(n["note"]) for n in notices(checked))
    found = strict.check(bpf_dump)
    assert found.exit == 5 and {f["kind"] for f in found.findings("text")} == {"bpf"}


def _direct(traced: Traced, function: str) -> int:
    """Address of the entry of direct_functions for a function."""
    ftrace = traced.ftrace
    wanted = traced.site(function).va + traced.memory.delta
    table = traced.memory.pointer(traced.text + ftrace.direct)
    heads = traced.memory.pointer(table + ftrace.heads)
    for i in range(1 << traced.memory.pointer(table + ftrace.bits)):
        entry = traced.memory.pointer(heads + 8 * i)
        while entry:
            if traced.memory.pointer(entry + ftrace.entry_ip) == wanted:
                return entry
            entry = traced.memory.pointer(entry)
    raise AssertionError


def test_a_direct_call_of_no_trampoline(hooked: Traced) -> None:
    """Consistent, the call and ftrace's books: but what it calls is in no registry, or not at its begin."""
    site = hooked.site("vfs_read")
    va = site.va + hooked.memory.delta
    entry = _direct(hooked, "vfs_read") + hooked.ftrace.entry_direct
    image = hooked.memory.pointer(entry)
    for target in (
        hooked.va("vfs_write"),
        image + 4,
        hooked.memory.pointer(hooked.text + hooked.ftrace.ops_list),
    ):
        findings = hooked.findings((va, branch(0xE8, va, target)), (entry, struct.pack("<Q", target)))
        finding = only(findings, "ftrace", va)
        assert finding["target"] == f"{target:#018x}"
    # The books alone, and the call alone.
    assert hooked.findings((entry, struct.pack("<Q", hooked.va("vfs_write"))))
    only(hooked.findings((va, branch(0xE8, va, image + 4))), "ftrace", va)


def test_a_static_call_of_no_dispatcher(hooked: Traced) -> None:
    key = next(
        va
        for va in (hooked.subject.places.call_key(p) for p in hooked.subject.places.of(Kind.STATIC_CALL))
        if hooked.memory.pointer(va + hooked.memory.delta) >= 0xFFFFFFFFC0000000
    )
    va = key + hooked.memory.delta
    image = hooked.memory.pointer(va)
    trampoline = hooked.memory.pointer(_direct(hooked, "vfs_read") + hooked.ftrace.entry_direct)
    for target in (image + 1, trampoline):
        findings = hooked.findings((va, struct.pack("<Q", target)))
        assert (findings[0]["kind"], findings[0]["address"]) == ("static-call", f"{va:#018x}")


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    suite = "bookworm"
    subject = TextSubject(tmp_path_factory.mktemp("patched"), "linux-image-cloud-amd64", suite, allow=ALL)
    module = livepatch_module(subject.package, suite)
    dump = raw_dump(
        subject.package,
        DumpOptions(
            subject.memory_mib,
            files={"livepatch.ko": module},
            script="insmod /livepatch.ko; sleep 3; test $(cat /proc/cmdline) = patched",
        ),
    )
    with copy_of(subject, dump, tmp_path_factory.mktemp("patched-copy")) as made:
        yield made


def test_a_livepatch_is_reported_by_name(patched: Traced) -> None:
    checked = patched.check()
    assert checked.exit == 0, checked.findings("text")
    (reported,) = notices(checked)
    assert (reported["kind"], reported["owner"]) == ("livepatch", "cmdline_proc_show")
    assert int(str(reported["address"]), 16) == patched.va("cmdline_proc_show")
    assert int(str(reported["target"]), 16) == int.from_bytes(
        bytes.fromhex(str(reported["actual"])), "little"
    )


def test_livepatchs_handler_for_nobody(patched: Traced) -> None:
    """An ftrace_ops that calls livepatch's handler without being livepatch's own is not allowed."""
    head = patched.text + patched.golden.registries.klp_list
    findings = patched.findings((head, struct.pack("<Q", head)))
    assert [f["kind"] for f in findings] == ["ftrace"] and "livepatch" in str(findings[0]["note"])
