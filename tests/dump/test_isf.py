"""Volatility 3 with our symbol table sees in our dumps what we read there ourselves."""

from __future__ import annotations

import base64
import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.dump.conftest import make_subject, run_checker
from tests.unit.dump import booted
from tests.unit.dump.reader import Reader
from tinyvmi_build.checks.idt.golden import IdtGolden
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.profile.isf import save_isf
from tinyvmi_build.timeouts import timeout

MASK = (1 << 48) - 1  # Volatility shows addresses without their sign
MODULES = ["dummy", "veth"]


#: What Volatility itself cannot do: (series, plugin) → its error.  A version that can makes the test fail.
VOLATILITY_FAILS = {
    # Its names of a module's taints are read from taint_flag.module, which 7.x no longer has.
    ("sid", "lsmod"): "has no attribute: symbol_table_name1!taint_flag.module",
    # It looks for kallsyms_relative_base, which 7.x no longer has: offsets are counted from _text.
    ("sid", "kallsyms"): "unsupported operand type(s) for -: 'NoneType' and 'int'",
}


@dataclass(frozen=True)
class Seen:
    """One guest, seen by us and by Volatility."""

    series: str
    ours: Reader
    answers: dict[str, Any]
    symbols: dict[str, Any]

    def theirs(self, plugin: str) -> list[list[Any]]:
        """Volatility's rows; the test ends here where it is known to have none."""
        answer, known = self.answers[plugin], VOLATILITY_FAILS.get((self.series, plugin))
        if known:
            assert isinstance(answer, str) and known in answer, "Volatility can: take the entry out"
            pytest.skip(f"Volatility fails: {answer}")
        assert isinstance(answer, list), answer
        return answer


#: The series differ: kallsyms tables changed their order, and modules their layout, in 6.4.
#: Volatility takes a minute for each: the others with TINYVMI_SERIES="bullseye trixie", say.
SERIES = [
    ("linux-image-cloud-amd64", suite) for suite in os.environ.get("TINYVMI_SERIES", "bookworm sid").split()
]


@pytest.fixture(scope="module", params=SERIES, ids=lambda kernel: kernel[1])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("isf")
    raw = booted.dumps(fetch_kernel(*request.param), MODULES)["raw"]
    subject = make_subject(folder, *request.param)
    kernel = run_checker(subject.checker, raw).collector.kernel
    assert kernel is not None
    ours = Reader(raw, subject.profile, int(kernel["delta"], 16), int(kernel["root_pa"], 16))
    (folder / "symbols").mkdir()
    (folder / "cache").mkdir()
    table = folder / "symbols" / "guest.json.xz"
    save_isf(subject.profile, table)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.unit.dump.volatility",
            raw,
            table.parent,
            folder / "cache",
        ],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=timeout(600),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    symbols = json.loads(lzma.decompress(table.read_bytes()))
    return Seen(request.param[1], ours, json.loads(done.stdout), symbols)


def test_pslist(seen: Seen) -> None:
    theirs = [(row[0], row[1], row[3], row[4]) for row in seen.theirs("pslist")]
    ours = [(at & MASK, pid, parent, comm) for at, pid, parent, comm in seen.ours.tasks()]
    assert len(ours) > 30 and ours[0][1:3] == (1, 0)
    assert theirs == ours


def test_lsmod(seen: Seen) -> None:
    ours = [(at & MASK, name) for at, name in seen.ours.modules()]
    assert sorted(name for _, name in ours) == MODULES
    assert [(row[0], row[1]) for row in seen.theirs("lsmod")] == ours


def test_check_idt(seen: Seen) -> None:
    """The same handlers as the gates and as the golden values name."""
    golden = seen.ours.profile.golden(IdtGolden)
    rows = {row[0]: row for row in seen.theirs("check_idt")}
    assert sorted(rows) == [*range(20), 128]
    named = 0
    for vector, row in rows.items():
        handler = seen.ours.gate(vector)
        assert row[1] == handler & MASK
        assert handler - seen.ours.delta in golden.gates[vector].handlers
        if row[3] != "N/A":
            nearest = seen.ours.profile.symbols.at(handler - seen.ours.delta)
            assert row[3] in [s.name for s in nearest]
            named += 1
    assert named >= 20  # all but a machine check's early handler, which lies in .init.text


def test_kallsyms(seen: Seen) -> None:
    """Every symbol that the running kernel lists, by address, type and name."""
    delta, symbols = seen.ours.delta, seen.ours.profile.symbols
    ours = Counter(((s.address if s.absolute else s.address + delta) & MASK, s.type, s.name) for s in symbols)
    theirs = Counter((row[0], row[1], row[6]) for row in seen.theirs("kallsyms"))
    assert sum(ours.values()) > 80_000
    assert theirs == ours


def test_the_table_follows_its_schema(seen: Seen) -> None:
    import volatility3.schemas

    schema = json.loads((Path(volatility3.schemas.__path__[0]) / "schema-6.2.0.json").read_text())
    # All kinds of symbols and a tenth of the types: the validator is slow.
    table, void = dict(seen.symbols), {"kind": "base", "name": "void"}
    plain = [name for name, symbol in table["symbols"].items() if symbol["type"] == void]
    dropped = set(plain[100:])
    table["symbols"] = {k: v for k, v in table["symbols"].items() if k not in dropped}
    for part in ("user_types", "enums"):
        table[part] = dict(list(table[part].items())[::10])
    jsonschema.Draft4Validator(schema).validate(table)
    banner = base64.b64decode(seen.symbols["symbols"]["linux_banner"]["constant_data"])
    va = seen.ours.symbol("linux_banner")
    assert banner == b"".join(seen.ours.read(va + i, 1) for i in range(len(banner)))
    assert banner.endswith(b"\n\0")


def test_every_type_that_is_named_is_there(seen: Seen) -> None:
    kinds = {"struct": "user_types", "union": "user_types", "enum": "enums", "base": "base_types"}
    missing = set()

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            name, where = node.get("name"), kinds.get(str(node.get("kind")))
            if where and isinstance(name, str) and name not in seen.symbols[where]:
                missing.add((node["kind"], name))
            for value in node.values():
                visit(value)

    visit(seen.symbols["user_types"])
    visit({name: symbol["type"] for name, symbol in seen.symbols["symbols"].items()})
    assert not missing
