"""What a launch does about a domain that is in its way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.unit.xen.test_folder import folder  # noqa: F401
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.progress import Progress
from tinyvmi_build.report.terminal import Terminal
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.folder import read_manifest
from tinyvmi_build.xen.launch import Launcher, Options
from tinyvmi_build.xen.ownership import Rival

TARGET = xl.Domain("web-1", 5, 256, "b")
OF_THAT_NAME = xl.Domain("tinyvmi-web", 7, 32, "b")
ANOTHER = xl.Domain("evil\x1b", 8, 32, "b")


def make_way(
    folder: Path,  # noqa: F811
    rival: Rival,
    *,
    replace: bool = False,
) -> str:
    """What is printed."""
    (folder / "tinyvmi-web.cfg").write_text('name = "tinyvmi-web"\n')
    said = io.StringIO()
    options = Options(replace=replace)
    launcher = Launcher(read_manifest(folder), options, Terminal(io.StringIO()), Progress(said))
    launcher._make_way(rival, TARGET)
    return said.getvalue()


@pytest.mark.parametrize("domain", [OF_THAT_NAME, ANOTHER])
def test_an_orphan_is_named_and_only_destroyed_on_demand(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    domain: xl.Domain,
) -> None:
    destroyed: list[int] = []
    monkeypatch.setattr(xl, "destroy", destroyed.append)
    with pytest.raises(MissingEnvironmentError, match="is left over") as caught:
        make_way(folder, Rival(domain, "5", True))
    assert "--replace" in str(caught.value.hint) and destroyed == []
    assert "destroyed the monitor" in make_way(folder, Rival(domain, "5", True), replace=True)
    assert destroyed == [domain.domid]


@pytest.mark.parametrize("replace", [False, True])
def test_a_domain_of_that_name_that_is_none_of_ours_is_never_destroyed(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    replace: bool,
) -> None:
    monkeypatch.setattr(xl, "destroy", lambda domid: pytest.fail("destroyed"))
    with pytest.raises(MissingEnvironmentError, match="exists already, and no launch") as caught:
        make_way(folder, Rival(OF_THAT_NAME, "", False), replace=replace)
    assert "destroy" not in str(caught.value.hint)


@pytest.mark.parametrize("replace", [False, True])
def test_a_guest_cannot_prevent_a_launch_by_what_it_writes(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    replace: bool,
) -> None:
    monkeypatch.setattr(xl, "destroy", lambda domid: pytest.fail("destroyed"))
    said = make_way(folder, Rival(ANOTHER, "5", False), replace=replace)
    assert "warning: domain 'evil\\x1b' (number 8) claims to watch 'web-1'" in said
