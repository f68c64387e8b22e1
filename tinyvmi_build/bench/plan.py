"""What dom0 is asked to measure, as one JSON object; and the names by which it reports what it measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: How tinyvmi-dom0 maps: its option, and what that stands for.
WAYS = {
    "dom0-single": "--single",
    "dom0-batched": "--batched",
    "dom0-revalidate": "--revalidate",
}
STEADY = 2  # the number of the first scan that costs what all later ones cost
INCREMENTAL_CHECK = "incremental"  # in the place of a check's name: one incremental check of everything
TRACKING = "tracking"  # of it: to ask Xen what the target has written
MONITOR, LIMIT, LIBVMI = "monitor", "limit", "libvmi"
DIGESTS = ", digests"  # behind the name of who has `golden.comparison = "digest"`


@dataclass(frozen=True)
class Plan:
    """Paths are those in dom0.  An empty one is left out of the comparison."""

    target: str  # name or number
    monitor: str  # the build folder
    dom0: str = ""  # tinyvmi-dom0
    limit: str = ""  # limit.elf
    digest_monitor: str = ""  # the same, with golden.comparison = "digest"
    digest_dom0: str = ""
    libvmi: str = ""  # a program: PROGRAM DOMAIN ADDRESS PAGES ROUNDS
    rounds: int = 5  # of all who are compared, in turn
    scans: int = 3  # in a round, from STEADY on
    limit_rounds: int = 2
    incremental_checks: int = 0  # of the monitor between two scans
    pause: bool = True  # the target stands still meanwhile

    def text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> Plan:
        return Plan(**json.loads(text))
