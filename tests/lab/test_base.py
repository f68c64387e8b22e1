"""The built-in base as a guest of the real toolstack: its own tests over xenstored and xenconsoled."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.lab.conftest import SMOKE
from tinyvmi_build.lab.monitor import FILES
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.timeouts import timeout


def console_of(lab: Lab, name: str, complete: Callable[[str], bool], seconds: float) -> str:
    """The console of domain `name` once it is complete."""
    deadline = time.monotonic() + timeout(seconds)
    while not complete(text := lab.guest_console(name)):
        assert time.monotonic() < deadline, f"{name} did not come to its end: {text[-2000:]}"
        time.sleep(0.5)
    return text


def tap(text: str) -> tuple[int, list[str]]:
    """(tests planned, results) of flat TAP; 0 planned before there is a plan."""
    plan = re.findall(r"^1\.\.(\d+)$", text, re.MULTILINE)
    return int(plan[-1]) if plan else 0, re.findall(r"^(ok|not ok) \d+ - ", text, re.MULTILINE)


@pytest.mark.parametrize(("command_line", "least"), [("smoke=xenbus", 5), ("", 50)], ids=["xenbus", "all"])
def test_the_bases_own_tests(lab: Lab, command_line: str, least: int) -> None:
    name = f"smoke{least}"
    config = f'name="{name}"\ntype="pv"\nkernel="{SMOKE}"\nextra="{command_line}"\nmemory=32\n'
    lab.agent.put(f"/run/{name}.cfg", f'{config}on_crash="preserve"\n'.encode())
    lab.run(["xl", "create", f"/run/{name}.cfg"]).check()
    try:
        text = console_of(lab, name, lambda text: 0 < tap(text)[0] <= len(tap(text)[1]), 90)
    finally:
        lab.run(["sh", "-c", f"xl destroy {name} 2>/dev/null; true"])
    planned, results = tap(text)
    assert planned >= least, text
    assert results == ["ok"] * planned, text


def test_a_monitor_without_privilege_sees_nothing(lab: Lab, target: Target) -> None:
    """Started by hand without privilege over its target: Xen refuses, the monitor reports that and ends."""
    name = "tinyvmi-lab"
    lab.run(["sh", "-c", f"cd {FILES} && xl create {name}.cfg"]).check()
    try:
        domid = domid_of(lab, name)
        path = f"/local/domain/{domid}/data/tinyvmi"
        lab.run(["xenstore-write", f"{path}/run", "without", f"{path}/target", str(target.domid)]).check()
        text = console_of(
            lab, name, lambda text: '"type":"bye"' in text.rpartition('"nonce":"without"')[2], 90
        )
    finally:
        lab.run(["sh", "-c", f"xl destroy {name} 2>/dev/null; true"])
    reported = text[text.rindex('"nonce":"without"') :]
    assert (
        '"type":"error","where":"target","what":"the hypervisor does not let this domain read the target"'
        in reported
    )
    assert '"verdict":"error","reason":"no-privilege"' in reported
    assert '"type":"kernel"' not in reported
