"""Layers, and errors that say file, line and what was meant."""

import os
from pathlib import Path

import pytest

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings
from tinyvmi_build.config.kinds import GitTree
from tinyvmi_build.config.load import load
from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import Exit, TinyVMIError, UsageErrors

BOOT = ("function-pointers", "page-tables", "ro-after-init")
ALL_OFF = "".join(f"{name} = false\n" for name in registry.names())
GOOD = '[kernel]\npackages = ["k.deb"]\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write tinyvmi.toml into an empty folder that is also the current one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        path = tmp_path / "tinyvmi.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def complaint(*args, **options) -> TinyVMIError:
    with pytest.raises(TinyVMIError) as caught:
        load(*args, **{"env": {}} | options)
    assert caught.value.exit is Exit.USAGE
    assert "\n" not in caught.value.message
    return caught.value


def test_defaults(project, tmp_path):
    project(GOOD)
    loaded = load(env={})
    assert loaded.config.monitor == Config().monitor
    assert loaded.config.kernel.packages == (tmp_path / "k.deb",)
    assert loaded.config.checks.enabled == registry.names()
    assert loaded.root == tmp_path
    assert loaded.origins["monitor.period"] == "default"
    assert loaded.origins["kernel.packages"] == "tinyvmi.toml:2"


def test_each_layer_beats_the_one_before(project, tmp_path):
    user = tmp_path / "xdg" / "tinyvmi" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[monitor]\nperiod = "2s"\njitter = 1\nmemory = 40\nheartbeat = "9s"\n')
    project(GOOD + '[monitor]\njitter = 2\nmemory = 41\nheartbeat = "8s"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "TINYVMI_MONITOR__MEMORY": "42", "TINYVMI_CACHE": "/x"}
    env["TINYVMI_MONITOR__HEARTBEAT"] = "7s"
    loaded = load(sets=["monitor.heartbeat=6s"], env=env)
    monitor = loaded.config.monitor
    assert (monitor.period, monitor.jitter, monitor.memory, monitor.heartbeat) == (2000, 2, 42, 6000)
    assert [loaded.origins[f"monitor.{k}"] for k in ("name", "period", "jitter", "memory", "heartbeat")] == [
        "default",
        "xdg/tinyvmi/config.toml:2",
        "tinyvmi.toml:4",
        "TINYVMI_MONITOR__MEMORY",
        "--set",
    ]


def test_environment_and_flags_take_toml_or_bare_text(project):
    project(GOOD)
    env = {
        "TINYVMI_CHECKS__POLICY_GLOBALS__CORE_PATTERN": '["core", "|/x %p"]',
        "TINYVMI_CHECKS__IDT": "false",
    }
    config = load(env=env, sets=['target.domain="7"', "monitor.name=web"]).config
    assert config.checks.of(PolicyGlobalsSettings).core_pattern == ("core", "|/x %p")
    assert config.checks_made == (
        *("identity", "syscall-table", "policy-globals", *BOOT, "rodata", "text", "modules"),
    )
    assert (config.target.domain, config.monitor.name) == ("7", "web")


def test_registers_are_checked_where_they_may_be_read(project):
    project(GOOD)
    assert "registers" not in load(env={}).config.checks_made
    sets = ["privilege.mode=flask", "privilege.vcpu_context=true"]
    assert "registers" in load(env={}, sets=sets).config.checks_made
    assert "registers" not in load(env={}, sets=[*sets, "checks.registers=false"]).config.checks_made


def test_a_check_is_a_switch_or_a_table(project):
    project(GOOD + "[checks]\npolicy-globals = false\n")
    assert "policy-globals" not in load(env={}).config.checks.enabled
    project(GOOD + '[checks.policy-globals]\nmodprobe_path = ["/sbin/modprobe"]\n')
    config = load(env={}).config
    assert "policy-globals" in config.checks.enabled
    assert config.checks.of(PolicyGlobalsSettings).modprobe_path == ("/sbin/modprobe",)
    assert config.checks.of(PolicyGlobalsSettings).core_pattern is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (GOOD + "[monitor]\n#\nperoid = 1\n", "toml:5: unknown key 'monitor.peroid'", "'monitor.period'"),
        (GOOD + "[monitr]\nmemory = 5\n", "tinyvmi.toml:4: unknown key 'monitr.memory'", "'monitor.memory'"),
        (GOOD + "[empty]\n", "tinyvmi.toml:3: unknown key 'empty'", ""),
        (GOOD + "[checks]\nid-t = true\n", "unknown key 'checks.id-t'", "'checks.idt'"),
        (GOOD + "[checks.idt]\nx = 1\n", "unknown key 'checks.idt.x'", "'checks.idt'"),
        ("monitor = 3\n" + GOOD, "tinyvmi.toml:1: 'monitor' is a table", ""),
        (GOOD + "[monitor]\nmemory = true\n", "tinyvmi.toml:4: 'monitor.memory' must be a whole number", ""),
        (GOOD + "[monitor]\nmemory = 4\n", "from 8 to 1024, not 4", ""),
        (GOOD + "monitor.memory = '1'\n", "unknown key 'kernel.monitor.memory'", "'monitor.memory'"),
        (GOOD + "[monitor]\nperiod = 5\n", "tinyvmi.toml:4: 'monitor.period' must be a time", ""),
        (GOOD + '[monitor]\nperiod = "0s"\n', "a time from 10ms to 24h, not '0s'", ""),
        (GOOD + '[monitor]\nname = "A b"\n', "must be 1 to 31 lower-case letters", ""),
        (GOOD + "[target]\ndomain = 3\n", "a domain's name or number, in quotes, not 3", ""),
        (GOOD + "[checks]\nidt = 1\n", "'checks.idt' must be true or false, not 1", ""),
        (GOOD + "[minios]\ntree = 3\n", "'minios.tree' must be \"built-in\", a folder, or { git", ""),
        (GOOD + '[minios]\ntree = { git = "u" }\n', "tinyvmi.toml:4: 'minios.tree' must be", ""),
        (GOOD + '[minios]\ntree = { git = "u", rev = "master" }\n', "a whole commit id in 'rev', 40 hex", ""),
        (GOOD + f'[minios.tree]\ngit = "--x"\nrev = "{"a" * 40}"\n', "the URL of a repository in 'git'", ""),
        (GOOD + "[checks.policy-globals]\ncore_pattern = []\n", "must be a list of strings", ""),
        (GOOD + f'[checks.policy-globals]\ncore_pattern = ["{"x" * 128}"]\n', "fewer than 128 bytes", ""),
        (GOOD + "[checks]\n" + ALL_OFF, "every check is off", "proves"),
        (GOOD + 'profile = "x"\n', "both 'kernel.packages' and 'kernel.profile'", "keep one"),
        ("[monitor]\n", "no kernel is named", "[kernel]"),
        ('[kernel]\npackages = "k.deb"\n', "'kernel.packages' must be a list of paths", ""),
        ("[kernel\n", "tinyvmi.toml: is not TOML:", ""),
        (b"\xff\xfe", "tinyvmi.toml: is not UTF-8", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(project, text, message, hint):
    project(text)
    error = complaint()
    assert message in error.message
    assert hint in (error.hint or "")


def test_wrong_names_outside_files(project):
    project(GOOD)
    error = complaint(sets=["monitor.perod=1s"])
    assert (error.message, error.hint) == (
        "--set monitor.perod: unknown key 'monitor.perod'",
        "did you mean 'monitor.period'?",
    )
    assert "not KEY=VALUE" in complaint(sets=["monitor.period"]).message
    assert complaint(env={"TINYVMI_MONITOR__X": "1"}).message.startswith("TINYVMI_MONITOR__X: unknown key")
    assert complaint(env={"TINYVMI_MONITOR__MEMORY": "lots"}).message.endswith("not 'lots'")


def test_no_file(project, tmp_path):
    error = complaint()
    assert error.message == "tinyvmi.toml: no such file"
    assert "tinyvmi-build init" in error.hint
    assert "elsewhere.toml: no such file" in complaint(tmp_path / "elsewhere.toml").message


def test_the_digest_knows_values_and_not_places(project, tmp_path):
    project(GOOD)
    first = load(env={}).config
    assert first.digest() == load(env={}, sets=['kernel.packages=["/other/k.deb"]']).config.digest()
    assert first.digest() != load(env={}, sets=["monitor.period=3s"]).config.digest()


@pytest.mark.parametrize("text, value", [
    ('tree = "built-in"', "built-in"),
    ('tree = "../mini-os"', "HERE/../mini-os"),
    (f'tree = {{ git = "https://x/m.git", rev = "{"a" * 40}" }}', GitTree("https://x/m.git", "a" * 40)),
    (f'tree = {{ git = "m.git", rev = "{"a" * 40}" }}', GitTree("HERE/m.git", "a" * 40)),
])  # fmt: skip
def test_the_tree_of_mini_os(project, tmp_path, text, value):
    project(f"{GOOD}[minios]\n{text}\n")
    found = load(env={}).config.minios.tree
    shown = (
        GitTree(found.url.replace(str(tmp_path), "HERE"), found.rev) if isinstance(found, GitTree) else found
    )
    assert shown == value or str(shown).replace(str(tmp_path), "HERE") == value
    # Where a tree is makes no difference to what the image says of itself: its revision does.
    other = load(env={}, sets=["minios.tree=/elsewhere"]).config
    assert (other.digest() == load(env={}).config.digest()) == (found != "built-in")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("monitor.look", "monitor.poll", "1s"),
        ("monitor.slice", "monitor.time_budget", "5"),
        ("golden.compare", "golden.comparison", "bytes"),
        ("golden.digest", "golden.hash", "sha256"),
    ],
)
def test_a_key_that_had_another_name_before(project, old, new, value):
    table, name = old.split(".")
    project(f"{GOOD}[{table}]\n{name} = '{value}'\n")
    error = complaint()
    assert error.message == f"tinyvmi.toml:4: '{old}' is now called '{new}'"
    assert error.hint == f"write {new.split('.')[1]}"
    project(GOOD)
    assert complaint(sets=[f"{old}={value}"]).message == f"--set {old}: '{old}' is now called '{new}'"
    variable = f"TINYVMI_{table.upper()}__{name.upper()}"
    assert complaint(env={variable: value}).message == f"{variable}: '{old}' is now called '{new}'"
    assert load(sets=[f"{new}={value}"], env={}).config != load(env={}).config or value == "bytes"


def test_the_word_for_the_usual_modules_has_changed(project):
    project(GOOD + '[checks.modules]\ninclude = ["@usual"]\n')
    assert 'names with "@common", which was "@usual" before' in complaint().message
    project(GOOD + '[checks.modules]\ninclude = ["@comon"]\n')
    assert '"@common"' in complaint().message


def test_all_mistakes_are_reported_at_once(project):
    project(GOOD + '[monitor]\nperoid = "1s"\nmemory = 1\n[golden]\ndigest = "x"\n')
    with pytest.raises(UsageErrors) as caught:
        load(sets=["nonsense", "monitor.jitter=99"], env={"TINYVMI_CHECKS__ID_T": "true"})
    assert [error.message for error in caught.value.all] == [
        "tinyvmi.toml:4: unknown key 'monitor.peroid'",
        "tinyvmi.toml:7: 'golden.digest' is now called 'golden.hash'",
        "TINYVMI_CHECKS__ID_T: unknown key 'checks.id_t'",
        "--set nonsense: not KEY=VALUE",
        "tinyvmi.toml:5: 'monitor.memory' must be a whole number of MiB from 8 to 1024, not 1",
        "--set: 'monitor.jitter' must be a whole number of percent from 0 to 50, not 99",
    ]
    assert all(error.exit is Exit.USAGE for error in caught.value.all)


def test_thousands_of_mistakes_are_cut_short(project):
    project(GOOD + "".join(f"key{i} = 1\n" for i in range(30_000)))
    with pytest.raises(UsageErrors) as caught:
        load(env={})
    assert len(caught.value.all) == 20


@pytest.mark.parametrize("name", ["domain_info", "vcpu_context", "pause"])
def test_what_target_mode_cannot_do_is_refused(project, name):
    project(f"{GOOD}[privilege]\n{name} = true\n")
    assert complaint().message == f"tinyvmi.toml:4: 'privilege.{name}' needs FLASK mode"
    load(sets=["privilege.mode=flask"], env={})


def test_a_key_in_two_spellings(project):
    project(GOOD + "[checks]\nsyscall-table = false\nsyscall_table = true\n")
    assert "'checks.syscall_table' sets 'checks.syscall-table' again" in complaint().message


NESTED = "[" * 3000
HUGE = "9" * 5000
HOSTILE = {
    "nested": (GOOD + f"[monitor]\nmemory = {NESTED}\n", "nested too deeply"),
    "tables": (GOOD + "[" + ".".join("a" * 3000) + "]\n", "unknown key"),
    "inline": (GOOD + "x = " + "{a=" * 3000 + "1" + "}" * 3000 + "\n", "nested too deeply"),
    "decimal": (GOOD + f"[monitor]\nmemory = {HUGE}\n", "is not TOML: Exceeds the limit"),
    "hex": (GOOD + f"[monitor]\nmemory = 0x{'f' * 9000}\n", "not a number of thousands of digits"),
    "string": (GOOD + f"[monitor]\nname = '{'x' * 500_000}'\n", "must be 1 to 31"),
    "key": (GOOD + f"{'k' * 500_000} = 1\n", "unknown key 'kernel.kkk"),
    "size": (GOOD + "#" * (1 << 20), "is larger than 1 MiB"),
    "nul": ('[kernel]\npackages = ["a\\u0000b"]\n', "must be a list of paths"),
    "long name": (f'[kernel]\npackages = ["{"x" * 256}"]\n', "must be a list of paths"),
    "long path": (f'[kernel]\nprofile = "{"x/" * 3000}"\n', "must be a path"),
    "escape": (GOOD + '"\\u001b[2J" = 1\n', "unknown key"),
    "date": (GOOD + "[monitor]\nmemory = 1979-05-27\n", "must be a whole number"),
    "infinite": (GOOD + "[monitor]\nmemory = inf\n", "must be a whole number"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text(project, case):
    text, message = HOSTILE[case]
    project(text)
    error = complaint()
    assert message in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    "value",
    [NESTED, "{a=" * 3000, HUGE, "0x" + "f" * 9000, "1\nx = 2", "1 # comment\n[x]", "'" * 9999, "\x1b[2J"],
)
def test_hostile_values_outside_files(project, value):
    project(GOOD)
    for error in (
        complaint(sets=[f"monitor.memory={value}"]),
        complaint(env={"TINYVMI_MONITOR__MEMORY": value}),
    ):
        assert "nested too deeply" in error.message or "must be a whole number of MiB" in error.message
        assert len(error.message) < 300


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "tinyvmi.toml").mkdir()
    assert complaint(tmp_path / "fifo").message.endswith("fifo: is a pipe")
    assert complaint(tmp_path / "device").message.endswith("device: is a device")
    assert complaint(tmp_path).message.endswith("tinyvmi.toml: is a folder")


def test_a_path_that_cannot_be_found(tmp_path):
    assert "no such file" in complaint(tmp_path / ("x" * 300)).message


def test_one_key_is_not_set_twice_by_the_same_means(project):
    project(GOOD)
    assert complaint(sets=["monitor.period=2s", "monitor.period=3s"]).message.endswith("is set twice")
    env = {"TINYVMI_MONITOR__PERIOD": "2s", "TINYVMI_monitor__period": "3s"}
    assert complaint(env=env).message.endswith("is set twice")
