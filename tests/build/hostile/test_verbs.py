"""Every verb that takes a path, given everything that is not what it asks for: one clear error, soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.build.hostile import inputs
from tests.unit.kernel import writers
from tinyvmi_build.profile.build import build
from tinyvmi_build.progress import Progress

SECONDS_MAX = 30  # for one of them, on a busy machine
RSS_KIB_MAX = 1200 << 10  # a kernel may unpack to 512 MiB, and is held twice for a moment

#: Name → the command line, where X is the bad input.
VERBS = {
    "init": ["init", "--kernel", "X", "new"],
    "init-folder": ["init", "--kernel", "good.deb", "X"],
    "profile-build": ["profile", "build", "X", "-o", "out"],
    "profile-modules": ["profile", "build", "good.deb", "--modules", "X", "-o", "out"],
    "profile-output": ["profile", "build", "good.deb", "-o", "X"],
    "profile-show": ["profile", "show", "X"],
    "profile-import": ["profile", "import", "X", "--symbols", "X", "-o", "out"],
    "profile-symbols": ["profile", "import", "good.deb", "--symbols", "X", "-o", "out"],
    "profile-types": ["profile", "import", "good.deb", "--types", "X", "-o", "out"],
    "profile-export": ["profile", "export", "X", "--isf", "out"],
    "profile-isf": ["profile", "export", "good.profile", "--isf", "X"],
    "config-check": ["config", "check", "-c", "X"],
    "config-show": ["config", "show", "-c", "X"],
    "config-packages": ["config", "check", "-c", "good.toml", "-s", 'kernel.packages=["X"]'],
    "config-modules": ["config", "check", "-c", "good.toml", "-s", 'kernel.modules=["X"]'],
    "config-profile": [
        "config",
        "check",
        "-c",
        "good.toml",
        "-s",
        "kernel.profile=X",
        "-s",
        "kernel.packages=[]",
    ],
    "render": ["render", "-c", "X"],
    "build": ["build", "-c", "X"],
    "minios": ["minios", "show", "-c", "good.toml", "-s", "minios.tree=X"],
    "inspect": ["inspect", "X"],
    "check-dump": ["check", "--dump", "X", "--profile", "good.profile"],
    "check-profile": ["check", "--dump", "good.raw", "--profile", "X"],
    "check-config": ["check", "--dump", "good.raw", "-c", "X"],
    "launch": ["launch", "X"],
    "bench": ["bench", "--from", "X"],
    "clean": ["clean", "X"],
}
#: What looks like a kernel or package in its first bytes: `config check` reads no further.
HEADS = {
    *("elf-cut", "elf-sections", "bzimage-cut", "bzimage-noise", "bzimage-huge"),
    *(name for name in inputs.FILES if name.startswith("deb-")),
}
#: Where a bad input is no bad input: the verb may do what it is asked.
FINE = {
    "init-folder": {"folder", "missing"},
    "profile-modules": {"ko"},
    "profile-output": {*inputs.FILES, "sparse", "missing"},
    "profile-isf": {*inputs.FILES, "sparse", "missing"},
    "profile-types": {"isf"},  # without a type
    "config-modules": {"folder", *HEADS},
    "config-packages": HEADS,
    "config-show": {"toml-device", "toml-modules"},  # reads none of these files
    "inspect": {"ko", "core-beyond"},  # ELF files, and shown as no monitor
}
WRITING = {"init-folder", "profile-output", "profile-isf"}  # to X itself
VERBOSE = {"config-check", "config-show", "render", "build", "check-config"}  # several mistakes at once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    kernel = writers.bzimage(writers.payload(writers.vmlinux(), "xz"))
    (folder / "good.deb").write_bytes(writers.deb({"./boot/vmlinuz-9.9.9-test": kernel}))
    (folder / "good.toml").write_text('[kernel]\npackages = ["good.deb"]\n')
    (folder / "good.raw").write_bytes(bytes(2 << 20))
    build([folder / "good.deb"], Progress(quiet=True)).save(folder / "good.profile")
    return folder


def outcomes(folder: Path, lines: list[list[str]]) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "tests.build.hostile.child", str(folder)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "NO_COLOR": "1"}
    done = subprocess.run(command, input=json.dumps(lines), env=env, capture_output=True, text=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[len(results)]}: {done.stderr[-2000:]}"
    return results


@pytest.fixture(scope="module")
def shared(folder, tmp_path_factory):
    """A folder with all bad inputs and the good ones, for verbs that write to none of them."""
    return filled(tmp_path_factory.mktemp("shared"), folder)


def filled(place: Path, folder: Path) -> tuple[Path, list[str]]:
    bad = inputs.make(place)
    for path in folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place, bad


@pytest.mark.parametrize("verb", VERBS)
def test_one_clear_error(verb, folder, shared, tmp_path):
    place, bad = filled(tmp_path, folder) if verb in WRITING else shared
    # As --set takes it, a long path is a long value.
    lines = [[word.replace("X", name) for word in VERBS[verb]] for name in bad]
    troubles = []
    for name, result in zip(bad, outcomes(place, lines), strict=True):
        trouble = wrong(verb, name, result)
        if trouble:
            troubles.append(f"{result['words']}: {trouble}\n    {result['status']} {result['err']!r:.300}")
    assert not troubles, "\n".join(troubles)
    leftovers = [p.name for p in place.iterdir() if p.name.startswith(".")]
    assert not leftovers


def wrong(verb: str, name: str, result: dict) -> str:  # type: ignore[type-arg]
    """What is wrong with how the verb took the bad input; "" if nothing is."""
    err = result["err"]
    if "Traceback" in err or "internal error" in err or "fault of tinyvmi-build" in err:
        return "the tool blames itself"
    if any(not c.isprintable() and c != "\n" for c in err + result["out"]):
        return "control characters"
    if result["seconds"] > SECONDS_MAX:
        return f"{result['seconds']:.0f} s"
    if result["rss_kib"] > RSS_KIB_MAX:
        return f"{result['rss_kib'] >> 10} MiB"
    if name in FINE.get(verb, ()) and result["status"] in (0, 2):
        return ""
    if result["status"] not in (2, 4) or result["status"] == 4 and name != "sparse":
        return "not status 2"
    errors = [line for line in err.splitlines() if line.startswith(("error: ", "Error: "))]
    if not errors or len(errors) > 1 and verb not in VERBOSE:
        return f"{len(errors)} errors"
    if max(map(len, err.splitlines())) > 8000:
        return "an endless line"
    if errors[0].startswith("error: ") and "hint: " not in err:
        return "no hint"
    return ""
