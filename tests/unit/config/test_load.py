"""Layers, and errors that say file, line and what was meant."""

from pathlib import Path

import pytest

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings
from tinyvmi_build.config.kinds import GitTree
from tinyvmi_build.config.load import load
from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import Exit, TinyVMIError

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
    told = (
        GitTree(found.url.replace(str(tmp_path), "HERE"), found.rev) if isinstance(found, GitTree) else found
    )
    assert told == value or str(told).replace(str(tmp_path), "HERE") == value
    # Where a tree is makes no difference to what the image says of itself: its revision does.
    other = load(env={}, sets=["minios.tree=/elsewhere"]).config
    assert (other.digest() == load(env={}).config.digest()) == (found != "built-in")
