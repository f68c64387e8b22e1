"""The schema, the loader and the file that `init` writes agree."""

import json
import tomllib

import jsonschema
import pytest

from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings
from tinyvmi_build.config.load import load
from tinyvmi_build.config.locate import line_of
from tinyvmi_build.config.model import KEYS, sections
from tinyvmi_build.config.schema import schema, schema_text
from tinyvmi_build.config.write import commented
from tinyvmi_build.errors import UsageError

VALUES = {("monitor", "name"): "web", ("kernel", "packages"): ["a b.deb", 'quo"te.deb']}


def test_the_schema_is_stable_and_valid(golden):
    jsonschema.Draft202012Validator.check_schema(schema())
    golden("config/tinyvmi.schema.json", schema_text())
    assert json.loads(schema_text()) == schema()


def test_the_commented_file_is_valid_and_shows_every_key(golden, tmp_path):
    text = commented(VALUES)
    golden("config/tinyvmi.toml", text)
    assert tomllib.loads(text)["kernel"]["packages"] == VALUES[("kernel", "packages")]
    for key in KEYS.values():
        assert f"{key.path[-1]} = " in text
    (tmp_path / "tinyvmi.toml").write_text(text)
    assert load(tmp_path, env={}).config.monitor.name == "web"


def test_a_value_of_a_check_stands_in_its_own_table(tmp_path):
    values = {**VALUES, ("checks", "policy-globals", "core_pattern"): ["core", "|/usr/bin/handler"]}
    (tmp_path / "tinyvmi.toml").write_text(commented(values))
    config = load(tmp_path, env={}).config
    assert config.checks.of(PolicyGlobalsSettings).core_pattern == ("core", "|/usr/bin/handler")


def test_every_commented_default_is_the_default(tmp_path):
    names = {key.path[-1] for key in KEYS.values()}
    tables = {path for path in sections() if len(path) > 1}  # each instead of a switch of its name
    headers = {f"[{'.'.join(path)}]" for path in tables}
    names -= {path[-1] for path in tables}

    def uncommented(line: str) -> str:
        bare = line.removeprefix("# ")
        return bare if bare in headers or bare.split(" = ")[0] in names and "…" not in bare else line

    text = commented(VALUES)
    (tmp_path / "tinyvmi.toml").write_text(text)
    plain = load(tmp_path, env={})
    (tmp_path / "tinyvmi.toml").write_text("\n".join(map(uncommented, text.splitlines())))
    full = load(tmp_path, env={})
    assert full.config == plain.config
    assert (
        sum(origin == "default" for origin in full.origins.values()) == 3
    )  # two lists shown as "…", kernel.modules


@pytest.mark.parametrize(
    "text",
    [
        "monitor.memory = 64\n",
        "monitor.memory = 4\n",
        "monitor.memory = true\n",
        'monitor.period = "3s"\n',
        'monitor.period = "3 s"\n',
        "monitor.wrong = 1\n",
        "checks.policy-globals = false\n",
        'checks.policy-globals.core_pattern = ["core"]\n',
        'checks.text.kprobes = "allow"\n',
        'checks.text.bpf = "never"\n',
        "checks.text.kprobes = true\n",
        "checks.policy-globals.core_pattern = [1]\n",
        "checks.idt = 0\n",
        "wrong = 1\n",
        'privilege.mode = "flask"\n',
    ],
)
def test_schema_and_loader_agree(tmp_path, text):
    text = 'kernel.packages = ["k.deb"]\n' + text
    (tmp_path / "tinyvmi.toml").write_text(text)
    try:
        load(tmp_path, env={})
        good = True
    except UsageError:
        good = False
    assert jsonschema.Draft202012Validator(schema()).is_valid(tomllib.loads(text)) == good


TEXT = '''a = 1
[b]
c.d = 2   # a comment
"e f" = """
c.x = 3
"""
[b.g]
h = { i = 4 }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [("a", 1), ("b", 2), ("b.c.d", 3), ("b.c.x", 2), ("b.e f", 4), ("b.g", 7), ("b.g.h.i", 8), ("z", None)],
)
def test_lines(path, line):
    assert line_of(TEXT, tuple(path.split("."))) == line
