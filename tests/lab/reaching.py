"""Runs the image that reaches for more than it was given, and reads what Xen answered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from tinyvmi_build.lab import target as targets
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, TargetOptions, domid_of
from tinyvmi_build.timeouts import timeout

IMAGE = "/lab/reach.elf"  # in dom0
_LINE = re.compile(r"REACH (\S+) (\S+) (-?\d+)")
EPERM, EACCES = -1, -13

#: What is tried with each domain beside mapping it.
DOMCTLS = ("getdomaininfo", "getvcpucontext", "gethvmcontext", "pause", "setvcpucontext", "max-mem")
Answers = dict[tuple[str, str], int]


def third_domain(lab: Lab) -> int:
    """A guest that has nothing to do with the monitor: built, never run."""
    if domid_of(lab, "third") < 0:
        path = targets.write_config(lab, "third", TargetOptions())
        lab.run(["xl", "create", "-p", path], 120).check()
    return domid_of(lab, "third")


def reach(lab: Lab, target: Target, label: str, privilege: Callable[[int], None]) -> Answers:
    """(whom, what) → Xen's answer, of an image with `label` to which `privilege` (domid) is given."""
    third = third_domain(lab)
    config = (
        f'name = "reach"\ntype = "pv"\nkernel = "{IMAGE}"\nextra = "{target.domid},{third}"\nmemory = 16\n'
        'on_crash = "preserve"\n'
    )
    if label:
        config += f'seclabel = "{label}"\n'
    lab.agent.put("/lab/reach.cfg", config.encode())
    lab.run(["rm", "-f", "/var/log/xen/console/guest-reach.log"])
    lab.run(["xl", "create", "-p", "/lab/reach.cfg"], 60).check()
    domid = domid_of(lab, "reach")
    try:
        privilege(domid)
        lab.run(["xl", "unpause", str(domid)]).check()
        deadline = time.monotonic() + timeout(30)
        while "REACH done" not in (said := lab.guest_console("reach")):
            assert time.monotonic() < deadline, said[-1000:]
            time.sleep(0.3)
    finally:
        lab.run(["xl", "destroy", str(domid)]).check()
    return {(who, what): int(rc) for who, what, rc in _LINE.findall(said)}


def reached(answers: Answers, whom: str) -> dict[str, int]:
    """What was tried with `whom` and not refused for want of permission."""
    return {what: rc for (who, what), rc in answers.items() if who == whom and rc not in (EPERM, EACCES)}


def said_by(lab: Lab, name: str, text: str, seconds: float = 60) -> str:
    """The console of domain `name` once it holds `text`."""
    deadline = time.monotonic() + timeout(seconds)
    while text not in (said := lab.guest_console(name)):
        assert time.monotonic() < deadline, said[-1500:]
        time.sleep(0.5)
    return said
