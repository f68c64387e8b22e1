"""The command line: help that does not change unnoticed, and errors by the contract."""

import subprocess
import sys

import pytest

from tinyvmi_build.cli import main
from tinyvmi_build.cli.main import VERBS, run
from tinyvmi_build.errors import Exit, MissingEnvironmentError, MonitorLostError, UsageError

SUBVERBS = [
    ["config", "check"],
    ["config", "show"],
    ["config", "schema"],
    ["profile", "build"],
    ["profile", "show"],
    ["profile", "export"],
    ["profile", "import"],
    ["minios", "fetch"],
    ["minios", "show"],
    ["lab", "run"],
]


def helped(capsys, monkeypatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    assert run([*words, "--help"]) == Exit.INTACT
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], *([verb] for verb in VERBS), *SUBVERBS], ids=lambda w: "-".join(w) or "root"
)
def test_help(words, capsys, monkeypatch, golden):
    text = helped(capsys, monkeypatch, *words)
    golden(f"help/{'-'.join(words) or 'root'}.txt", text)
    group = words in (["config"], ["profile"], ["minios"], ["lab"])
    assert "Example" in text or group


def test_help_imports_no_verb():
    code = "import sys; from tinyvmi_build.cli.main import run; run(['--help']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    modules = out.splitlines()[-1].split()
    assert "tinyvmi_build.cli.main" in modules
    heavy = {
        "jinja2",
        "elftools",
        "mesonbuild",
        "jsonschema",
        "tinyvmi_build.cli.build",
        "tinyvmi_build.kernel",
    }
    assert not heavy & set(modules)


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tinyvmi-build, version ")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UsageError("bad x", hint="do y"), 2, "error: bad x\nhint: do y\n"),
        (MissingEnvironmentError("no x"), 4, "error: no x\n"),
        (MonitorLostError("silent"), 6, "error: silent\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_each_error_has_its_status_and_one_line(error, status, text, capsys, monkeypatch):
    def fail(**_):
        raise error

    monkeypatch.setattr(main.root, "main", fail)
    assert run([]) == status
    assert capsys.readouterr().err == text


def test_a_fault_of_the_tool_is_reported_as_one(capsys, monkeypatch):
    def fail(**_):
        raise RuntimeError("oops")

    monkeypatch.setattr(main.root, "main", fail)
    assert run([]) == Exit.INTERNAL
    err = capsys.readouterr().err
    assert err.startswith("error: internal error: RuntimeError: oops\nhint: ")
    assert "Traceback" not in err
    monkeypatch.setenv("TINYVMI_TRACEBACK", "1")
    run([])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["build", "--nonsense"], ["init"], ["inspect"], ["completion", "tcsh"], ["--nonsense"]],
)
def test_misuse_is_status_2(words, capsys):
    assert run(words) == Exit.USAGE
    assert "Usage: tinyvmi-build" in capsys.readouterr().err


def test_a_reader_that_leaves_does_not_make_success():
    command = [sys.executable, "-m", "tinyvmi_build", "config", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait() == Exit.INTERNAL  # click sees to it
    assert b"Traceback" not in err


def test_a_terminal_without_utf_8_is_no_reason_to_fail(tmp_path):
    # No program is found, so that doctor has no emulator to try.
    env = {"PYTHONIOENCODING": "latin-1", "PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tinyvmi_build", "doctor"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode in (0, 4)
    assert "\\u2713 python" in done.stdout
