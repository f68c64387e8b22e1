"""The rendered FLASK module builds with Xen's own policy, and guards it against careless rules."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from tinyvmi_build.config.model import Config, Monitor
from tinyvmi_build.lab.packages import fetch_source
from tinyvmi_build.render.plan import flask_types, monitor_items, rendered

CONFIG = Config(monitor=Monitor(name="web-1"))
PARTS = ("tools/flask/policy/", "xen/xsm/flask/policy/")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Xen's policy source with the module added (tools/flask/policy)."""
    folder = tmp_path_factory.mktemp("xen")
    with tarfile.open(fetch_source("xen")) as archive:
        chosen = [m for m in archive if any(part in m.name for part in PARTS)]
        archive.extractall(folder, chosen, filter="data")
    top = next(folder.iterdir()) / "tools/flask/policy"
    (top / "modules/tinyvmi.te").write_text(module())
    with (top / "modules/modules.conf").open("a") as conf:
        conf.write("tinyvmi = on\n")
    return top


def module() -> str:
    return rendered(monitor_items(CONFIG, []))["tinyvmi-web-1.te"]


def compile_policy(policy: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "-f", "Makefile.common", f"FLASK_BUILD_DIR={output}", "XEN_FULLVERSION=4.17"]
    return subprocess.run(command, cwd=policy, capture_output=True, text=True, check=False)


def test_it_builds(policy: Path, tmp_path: Path) -> None:
    done = compile_policy(policy, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "xenpolicy-4.17").stat().st_size > 10_000
    assert "tinyvmi_web_1_target_t" in (tmp_path / "policy.conf").read_text()


@pytest.mark.parametrize(
    "rule",
    [
        "@M @T:mmu map_write",
        "@M @T:mmu adjust",
        "@M @T:hvm dm",
        "@M @T:domain pause",
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
