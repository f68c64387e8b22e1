"""What a monitor of target mode cannot do, on a stock Xen: shown by one that tries."""

from __future__ import annotations

import pytest

from tests.lab.reaching import DOMCTLS, Answers, reach, reached
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target


@pytest.fixture(scope="module")
def answers(lab: Lab, target: Target) -> Answers:
    def privilege(domid: int) -> None:
        call = f"from tinyvmi_build.xen.privilege import set_target; set_target({domid}, {target.domid})"
        lab.run(["python3", "-c", call]).check()

    return reach(lab, target, "", privilege)


@pytest.mark.parametrize("whom", ["third", "dom0", "xen"])
def test_nobody_else_can_be_reached(answers: Answers, whom: str) -> None:
    tried = {what for who, what in answers if who == whom}
    assert {"map-read", "map-write", "maximum-gpfn"} <= tried
    assert whom == "xen" or set(DOMCTLS) | {"destroy"} <= tried
    assert reached(answers, whom) == {}


def test_memory_is_not_had_as_a_devices(answers: Answers) -> None:
    """DOMID_IO names device memory, of which this domain was given none: Xen answers EBUSY to memory."""
    assert answers["io", "map-read"] < 0
    assert answers["io", "map-write"] < 0


def test_the_target_can_also_be_written(answers: Answers) -> None:
    """The privilege of target mode is wider than what a monitor needs; docs/design/privilege.md says so."""
    assert reached(answers, "target") == {
        "map-read": 0,
        "map-write": 0,
        "maximum-gpfn": 0,
        "getdomaininfo": 0,
    }


def test_dom0_and_the_third_domain_live(lab: Lab, answers: Answers) -> None:
    listed = lab.run(["xl", "list"]).check().out
    assert "third" in listed
