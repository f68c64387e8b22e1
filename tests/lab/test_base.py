"""The built-in base as a guest of the real toolstack: its own tests over xenstored and xenconsoled."""

from __future__ import annotations

import re
import time

import pytest

from tinyvmi_build.lab.monitor import FILES
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.xen.patience import timeout

from .conftest import SMOKE


def console_of(lab: Lab, name: str, ending: str, seconds: float) -> str:
    """The console of domain `name` once `ending` (a pattern) stands in it."""
    deadline = time.monotonic() + timeout(seconds)
    while not re.search(ending, text := lab.guest_console(name), re.MULTILINE):
        assert time.monotonic() < deadline, f"{name} did not say {ending!r}: {text[-2000:]}"
        time.sleep(0.5)
    return text


@pytest.mark.parametrize(("command_line", "least"), [("smoke=xenbus", 5), ("", 50)], ids=["xenbus", "all"])
def test_the_bases_own_tests(lab: Lab, command_line: str, least: int) -> None:
    name = f"smoke{least}"
    config = f'name="{name}"\ntype="pv"\nkernel="{SMOKE}"\nextra="{command_line}"\nmemory=32\n'
    lab.agent.put(f"/run/{name}.cfg", f'{config}on_crash="preserve"\n'.encode())
    lab.run(["xl", "create", f"/run/{name}.cfg"]).check()
    try:
        text = console_of(lab, name, r"^1\.\.\d+", 90)
    finally:
        lab.run(["sh", "-c", f"xl destroy {name} 2>/dev/null; true"])
    planned = int(re.findall(r"^1\.\.(\d+)", text, re.MULTILINE)[-1])
    results = re.findall(r"^(ok|not ok) \d+", text, re.MULTILINE)
    assert len(results) == planned >= least, text
    assert results.count("ok") == planned, text


def test_a_monitor_without_privilege_sees_nothing(lab: Lab, target: Target) -> None:
    """Started by hand and told a target, but not given it: Xen refuses, and the monitor says so and ends."""
    name = "tinyvmi-lab"
    lab.run(["sh", "-c", f"cd {FILES} && xl create {name}.cfg"]).check()
    try:
        domid = domid_of(lab, name)
        path = f"/local/domain/{domid}/data/tinyvmi"
        lab.run(["xenstore-write", f"{path}/run", "without", f"{path}/target", str(target.domid)]).check()
        text = console_of(lab, name, '"run":"without"(.|\n)*"t":"bye"', 90)
    finally:
        lab.run(["sh", "-c", f"xl destroy {name} 2>/dev/null; true"])
    told = text[text.rindex('"run":"without"') :]
    assert (
        '"t":"error","where":"target","what":"the hypervisor does not let this domain read the target"'
        in told
    )
    assert '"verdict":"error","reason":"no-privilege"' in told
    assert '"t":"kernel"' not in told
