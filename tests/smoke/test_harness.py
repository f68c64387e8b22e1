"""The harness itself: what must not pass for success."""

from __future__ import annotations

import pytest

from tests.smoke.booting import boot
from tests.smoke.tap import parse, promised


def test_silent_image(smoke_image) -> None:
    """A mode that nobody knows: the image comes up and waits for ever."""
    run = boot(smoke_image("gcc"), "smoke=no-such-mode", seconds=4)
    assert run.ended == "timeout" and not run.lines


def test_not_an_image(tmp_path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x7fELF" + bytes(5000))
    run = boot(junk, seconds=20)
    assert run.ended in ("gone", "timeout") and not parse(run.lines).results


def test_tap() -> None:
    tap = parse(["TAP version 13", "1..3", "ok 1 - a: b", "# why", "not ok 2 - c: d", "# 2 tests"])
    assert tap.planned == 3
    assert tap.results == {"a: b": True, "c: d": False}
    assert tap.notes["c: d"] == ["# why"]


@pytest.mark.parametrize(
    "lines",
    [
        ["ok 1 - a", "ok 3 - b"],
        ["ok 1 - a", "ok 2 - a"],
        ["1..1", "ok 1 - a", "1..1"],
    ],
)
def test_disorder(lines: list[str]) -> None:
    with pytest.raises(ValueError):
        parse(lines)


def test_promised(tmp_path) -> None:
    (tmp_path / "test_x.c").write_text(
        'SMOKE_TESTS(x) = {\n    {"x: one, two", one},\n    {"xenstored: y", y},\n    SMOKE_END,\n};\n'
    )
    assert promised(tmp_path) == ["x: one, two"]
