"""The numbers that the generator packs into tables are those that the C core unpacks."""

from __future__ import annotations

import enum
import re

import pytest

from tinyvmi_build.checks.lib import digest_range
from tinyvmi_build.checks.modules import pages
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import Field
from tinyvmi_build.checks.text import shapes, site_kinds
from tinyvmi_build.paths import data_dir

CHECKS = data_dir("minios_app") / "checks"


def c_enum(header: str, name: str) -> dict[str, int]:
    """Member → number, of an enum whose members all have one."""
    body = re.search(rf"enum {name} \{{(.*?)\n\}}", (CHECKS / header).read_text(), re.S)
    assert body, name
    return {member: int(number, 0) for member, number in re.findall(r"(\w+) = (\w+)", body[1])}


def c_define(header: str, name: str) -> int:
    found = re.search(rf"^#define {name} +(\w+)", (CHECKS / header).read_text(), re.M)
    assert found, name
    return int(found[1], 0)


@pytest.mark.parametrize(
    ("header", "name", "prefix", "python"),
    [
        ("text/golden.h", "tv_text_kind", "TV_TEXT_", site_kinds.Kind),
        ("modules/golden.h", "tv_module_area", "TV_MODULE_", Area),
        ("modules/golden.h", "tv_module_field", "TV_MODULE_", Field),
    ],
)
def test_enums_are_equal(header: str, name: str, prefix: str, python: type[enum.IntEnum]) -> None:
    members = {key.removeprefix(prefix): number for key, number in c_enum(header, name).items()}
    members.pop("AREAS", None)  # their number
    assert members == {member.name: member.value for member in python}


def test_conditions_are_equal() -> None:
    members = c_enum("text/golden.h", "tv_text_condition")
    assert members["TV_TEXT_ITS_RETURN"] == shapes.ITS_RETURN
    assert members["TV_TEXT_PV_NOP"] == shapes.PV_NOP


def test_lines_are_of_one_size() -> None:
    assert c_define("lib/digest_range.h", "TV_LINE_SIZE") == digest_range.LINE
    assert c_define("modules/golden.h", "TV_MODULE_LINE") == pages.LINE
    assert c_define("modules/internal.h", "TV_MODULES_CLASSES") == pages.CLASSES_MAX
