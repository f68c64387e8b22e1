from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.xen.test_folder import folder  # noqa: F401
from tinyvmi_build.cli.main import run
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.privilege import find_library

LIST = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0   768     2     r-----      21.2
web one                                      1   256     1     -b----      11.2
a-very-long-name-that-fills-the-whole-column 12  32     1     --psc-       0.0
(null)                                       13     0     1     --p--d       0.1
"""
on_xen = pytest.mark.skipif(Path("/sys/hypervisor/type").exists(), reason="this machine runs under Xen")


def test_the_list_of_domains() -> None:
    found = xl.parse_list(LIST)
    assert [(d.name, d.domid, d.memory_mib) for d in found[:2]] == [("Domain-0", 0, 768), ("web one", 1, 256)]
    assert [(d.crashed, d.gone) for d in found] == [
        (False, False),
        (False, False),
        (True, True),
        (False, True),
    ]
    assert xl.find_domain("12", found) is found[2]
    assert xl.find_domain("web one", found) is found[1]
    assert xl.find_domain("web", found) is None


def test_of_one_name_the_running_domain_is_meant() -> None:
    """A domain that ends and its successor, in whatever order; else the younger."""
    old, new = xl.Domain("web", 4, 256, "pd"), xl.Domain("web", 5, 256, "b")
    assert xl.find_domain("web", [old, new]) is xl.find_domain("web", [new, old]) is new
    assert xl.find_domain("web", [old, xl.Domain("web", 3, 256, "b")]).domid == 3  # type: ignore[union-attr]
    assert xl.find_domain("web", [old, xl.Domain("web", 9, 256, "d")]).domid == 9  # type: ignore[union-attr]


def test_the_name_in_a_config(tmp_path: Path) -> None:
    config = tmp_path / "x.cfg"
    config.write_text("# name = \"no\"\ntype = 'pv'\nname = 'tinyvmi-web'\n")
    assert xl.config_name(config) == "tinyvmi-web"
    config.write_text("type = 'pv'\n")
    assert xl.config_name(config) is None


@on_xen
def test_launch_says_that_there_is_no_xen(
    folder: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["launch", str(folder), "--target", "x"]) == 4
    printed = capsys.readouterr()
    assert "error: this machine does not run under Xen" in printed.err
    assert "tinyvmi-build lab run" in printed.err
    assert printed.out == ""


@on_xen
def test_tools_and_libraries_that_are_missing() -> None:
    with pytest.raises(MissingEnvironmentError, match="Xen's tool 'no-such-tool' is missing"):
        xl.find_tool("no-such-tool")
    with pytest.raises(MissingEnvironmentError, match="libnothing is missing"):
        find_library("libnothing")


@pytest.mark.parametrize("period", ["", "1d", "5 ms ago", "9ms", "25h"])
def test_a_bad_period(folder: Path, period: str, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert run(["launch", str(folder), "--period", period]) == 2
    assert "--period" in capsys.readouterr().err
