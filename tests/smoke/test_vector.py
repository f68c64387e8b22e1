"""Vector registers of a PV domain, on processors that Xen shows with and without AVX2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.smoke.booting import AVX2_CPU, PLAIN_CPU, boot
from tests.smoke.tap import parse

SSE41, AVX2 = 1, 2


@pytest.mark.parametrize(
    ("cpu", "units"), [(PLAIN_CPU, 0), ("qemu64,+ssse3,+sse4.1", SSE41), (AVX2_CPU, SSE41 | AVX2)]
)
def test_what_xen_allows_is_found_and_restored(
    smoke_image: Callable[[str], Path], cpu: str, units: int
) -> None:
    run = boot(smoke_image("gcc"), cpu=cpu)
    assert run.ended == "shutdown", run.console
    tap = parse(run.lines)
    results = {name: passed for name, passed in tap.results.items() if name.startswith("vector: ")}
    assert len(results) == 3 and all(results.values()), run.text
    assert f"# vector units: {units}" in run.text
