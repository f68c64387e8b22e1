"""The rendered FLASK module builds with Xen's own policy, and guards it against careless rules."""

from __future__ import annotations

import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tinyvmi_build.config.model import Config, Monitor, Privilege
from tinyvmi_build.lab.machine.packages import extract, fetch_source
from tinyvmi_build.render.plan import domain_items, flask_types, rendered

CONFIG = Config(monitor=Monitor(name="web-1"), privilege=Privilege(mode="flask"))
GENEROUS = replace(CONFIG, privilege=Privilege(mode="flask", domain_info=True, vcpu_context=True, pause=True))
PARTS = ("tools/flask/policy/", "xen/xsm/flask/policy/")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Xen's policy source with the module added (tools/flask/policy)."""
    folder = tmp_path_factory.mktemp("xen")
    with tarfile.open(fetch_source("xen")) as archive:
        chosen = [m for m in archive if any(part in m.name for part in PARTS)]
        extract(archive, folder, chosen)
    top = next(folder.iterdir()) / "tools/flask/policy"
    (top / "modules/tinyvmi.te").write_text(module())
    with (top / "modules/modules.conf").open("a") as conf:
        conf.write("tinyvmi = on\n")
    return top


def module(config: Config = CONFIG) -> str:
    return rendered(domain_items(config))["tinyvmi-web-1.te"]


def grants(text: str) -> list[str]:
    """What a module allows the monitor to do to its target, as "class { permissions }"."""
    types = flask_types(CONFIG)
    return re.findall(rf"^allow {types['monitor']} {types['target']}:(.*);$", text, re.MULTILINE)


def compile_policy(policy: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "-f", "Makefile.common", f"FLASK_BUILD_DIR={output}", "XEN_FULLVERSION=4.17"]
    return subprocess.run(command, cwd=policy, capture_output=True, text=True, check=False)


def test_it_builds(policy: Path, tmp_path: Path) -> None:
    done = compile_policy(policy, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "xenpolicy-4.17").stat().st_size > 10_000
    assert "tinyvmi_web_1_target_t" in (tmp_path / "policy.conf").read_text()


def test_only_map_read_unless_more_is_asked_for() -> None:
    assert grants(module()) == ["mmu { map_read }"]
    assert grants(module(GENEROUS)) == [
        "mmu { map_read stat }",
        "domain { getdomaininfo getvcpucontext pause unpause }",
        "hvm { gethvmc }",
    ]


def test_all_optional_rights_build(policy: Path, tmp_path: Path) -> None:
    path = policy / "modules/tinyvmi.te"
    path.write_text(module(GENEROUS))
    done = compile_policy(policy, tmp_path)
    path.write_text(module())
    assert done.returncode == 0, done.stderr


def test_the_label_is_in_the_config_of_flask_mode_alone() -> None:
    name = "tinyvmi-web-1.cfg"
    assert 'seclabel = "system_u:system_r:tinyvmi_web_1_t"' in rendered(domain_items(CONFIG))[name]
    stock = replace(CONFIG, privilege=Privilege())
    assert "seclabel" not in rendered(domain_items(stock))[name]


@pytest.mark.parametrize(
    "rule",
    [
        "@M @T:mmu map_write",
        "@M @T:mmu adjust",
        "@M @T:hvm dm",
        "@M @T:domain pause",
        "@M @T:domain getvcpucontext",
        "@M @T:domain getdomaininfo",
        "@M @T:mmu stat",
        "@M @T:domain2 vm_event",
        "@M @T:shadow logdirty",
        "@M @T:grant map_read",
        "@M domU_t:mmu map_read",
        "@M dom0_t:mmu map_read",
        "@M dom0_t:domain getdomaininfo",
        "@M xen_t:xen tbufcontrol",
    ],
)
def test_a_careless_rule_fails_the_build(policy: Path, tmp_path: Path, rule: str) -> None:
    types = flask_types(CONFIG)
    text = rule.replace("@M", types["monitor"]).replace("@T", types["target"])
    path = policy / "modules/tinyvmi.te"
    path.write_text(f"{module()}allow {text};\n")
    done = compile_policy(policy, tmp_path)
    path.write_text(module())
    assert done.returncode != 0
    assert "neverallow" in done.stderr
