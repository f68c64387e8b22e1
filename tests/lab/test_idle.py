"""What a monitor takes of a processor while its target is at rest."""

from __future__ import annotations

import time

import pytest

from tests.lab.code_writes import PROCESSOR_TIME, domain_of
from tests.lab.watching import Watch
from tinyvmi_build.lab.code_writes import write
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.verdict import Verdict

PERIOD_S = 60
SLEEPS_S = 20.0
#: Of a sleeping monitor, which gives a sign of life every five seconds: some 10 ms each under emulation.
SHARE_ASLEEP = 0.005


def used_s(lab: Lab, name: str) -> float:
    """Processor time that the monitor's domain has used, s."""
    argv = ["python3", PROCESSOR_TIME, str(domid_of(lab, domain_of(name)))]
    return int(lab.run(argv).check().out) / 1e9


def share(lab: Lab, watch: Watch, seconds: float) -> float:
    """Of one processor, over so many seconds in which there is nothing to tell."""
    watch.begin()
    before, start = used_s(lab, watch.name), time.monotonic()
    watch.quiet(seconds)
    return (used_s(lab, watch.name) - before) / (time.monotonic() - start)


@pytest.mark.long
def test_without_incremental_checks(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    """A monitor that sleeps uses no processor time, and knows nothing until its next scan."""
    watch = Watch(lab, poked, profiles, "blind", f"{PERIOD_S}s")
    at = watch.site("text")
    try:
        assert watch.monitor.tracking is None
        write(poked, "wp", at, at.bad)
        asleep = share(lab, watch, SLEEPS_S)
        print(f"a sleeping monitor takes {asleep:.3%} of a processor")
        assert watch.monitor.scans == 1
        before = used_s(lab, watch.name)
        watch.until(Verdict.TAMPERED, 2 * PERIOD_S)
        woke = used_s(lab, watch.name) - before
        print(f"and {woke:.2f} s for its second scan")
        assert asleep < SHARE_ASLEEP
        assert woke > 10 * SHARE_ASLEEP  # the same count sees a monitor that works
    finally:
        write(poked, "wp", at, at.good)
        watch.monitor.stop()


@pytest.mark.long
@pytest.mark.parametrize("name", ["bytes", "digest"])
def test_with_incremental_checks(lab: Lab, poked: Target, profiles: ProfileFile, name: str) -> None:
    """Ten incremental checks a second."""
    watch = Watch(lab, poked, profiles, name)
    try:
        watch.monitor.listen(5)  # until checks without incremental form have settled how often they run
        looking = share(lab, watch, SLEEPS_S)
        print(f"a monitor with incremental checks, {name}, takes {looking:.2%} of a processor")
        assert SHARE_ASLEEP < looking < 0.5
    finally:
        watch.monitor.stop()
