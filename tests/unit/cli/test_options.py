"""Options of all verbs: given once, one grammar of times, completion of keys and scenarios."""

import os
import subprocess
import sys

import click
import pytest

from tinyvmi_build.cli.main import VERBS, root, run
from tinyvmi_build.cli.options import PATH, DurationType, Verb, VerbGroup
from tinyvmi_build.errors import Exit


def every_verb(group=root, words=()):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from every_verb(command, (*words, name))
        else:
            yield (*words, name), command


ALL = list(every_verb())


def test_every_verb_is_found():
    assert {words[0] for words, _ in ALL} == set(VERBS)


@pytest.mark.parametrize(("words", "command"), ALL, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_each_option_that_is_given_twice_is_refused(words, command, capsys):
    assert isinstance(command, Verb)
    for option in command.params:
        if not isinstance(option, click.Option) or option.multiple or option.is_flag:
            continue
        value = option.type.choices[0] if isinstance(option.type, click.Choice) else "1s"
        for name in option.opts:
            assert run([*words, name, value, option.opts[0], value]) == Exit.USAGE
            assert f"option '{max(option.opts, key=len)}' is given more than once" in capsys.readouterr().err


def test_options_that_may_repeat_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tinyvmi.toml").write_text('[kernel]\npackages = ["k.deb"]\n')
    assert (
        run(["config", "show", "-s", "monitor.jitter=1", "--set", "monitor.memory=64", "--json", "--json"])
        == 0
    )
    assert '"value": 64' in capsys.readouterr().out


def test_groups_make_verbs():
    assert VerbGroup("x").command()(lambda: None).__class__ is Verb


@pytest.mark.parametrize(
    ("text", "ms"), [("500ms", 500), ("1.5s", 1500), ("2min", 120_000), ("2m", 120_000), ("0.001s", 1)]
)
def test_times(text, ms):
    assert DurationType(1, 10**6).convert(text, None, None) == ms


@pytest.mark.parametrize(
    "text", ["1", "1.5", "", "s", "1.s", ".5s", "-1s", "1 s", "١s", "1e3s", "1S", "1day", " 1s"]
)
def test_no_times(text):
    with pytest.raises(click.BadParameter, match='a time with its unit: "500ms", "1.5s", "2min" or "1h"'):
        DurationType(1, 10**6).convert(text, None, None)


def test_times_out_of_bounds():
    with pytest.raises(click.BadParameter, match="a whole number of milliseconds"):
        DurationType(1, 10**6).convert("1.5ms", None, None)
    with pytest.raises(click.BadParameter, match="a time from 10ms to 1min"):
        DurationType(10, 60_000).convert("61s", None, None)


@pytest.mark.parametrize("path", ["", "x" * 256, "d/" * 2100, "ü" * 128])
def test_a_path_that_cannot_be(path):
    with pytest.raises(click.BadParameter, match="a path cannot be empty|too long"):
        PATH.convert(path, None, None)


def completed(words: str) -> list[str]:
    variables = {"_TINYVMI_BUILD_COMPLETE": "bash_complete", "COMP_WORDS": words}
    env = os.environ | variables | {"COMP_CWORD": str(len(words.split(" ")) - 1)}
    code = "from tinyvmi_build.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


def test_keys_and_scenarios_are_completed():
    assert "monitor.period=" in completed("tinyvmi-build build --set monitor.p")
    assert "tampers" in completed("tinyvmi-build lab run --scenario ta")
    assert all(key.startswith("checks.") for key in completed("tinyvmi-build config show -s checks."))
