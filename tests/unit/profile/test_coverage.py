"""What cannot be verified is named when the profile is built, and is an error on demand."""

import json
from dataclasses import replace

import pytest

from tests.unit.checks import small_modules
from tests.unit.kernel import writers
from tinyvmi_build.checks import registry
from tinyvmi_build.checks.modules.coverage import require_known_modules
from tinyvmi_build.cli.main import run
from tinyvmi_build.errors import Exit, UsageError
from tinyvmi_build.profile.coverage import Coverage, coverage


@pytest.fixture
def kernel(tmp_path):
    """A kernel so small that most checks cannot verify it."""
    path = tmp_path / "vmlinuz-9.9.9-test"
    path.write_bytes(writers.bzimage(writers.payload(writers.vmlinux(), "xz")))
    return path


def test_each_check_is_verified_or_has_its_reason(profile):
    rows = coverage(profile)
    assert [row.check for row in rows] == list(registry.names())
    for row in rows:
        if row.check != "modules":
            assert row.gaps == tuple(filter(None, [profile.unsupported(row.check)]))
    assert any(row.gaps for row in rows) and any(not row.gaps for row in rows)
    assert [row.check for row in coverage(profile, ["identity"])] == ["identity"]
    assert Coverage("x", ("y",)).as_json() == {"check": "x", "verified": False, "gaps": ["y"]}


def test_profile_build_names_the_gaps(kernel, tmp_path, capsys):
    output = tmp_path / "out.profile"
    assert run(["profile", "build", str(kernel), "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert f"{kernel.name} has no modules with it: no loaded module will be verified" in err
    assert "coverage of 9.9.9-test:" in err
    assert "  identity           verified" in err
    assert "warning: modules cannot be verified for 9.9.9-test: " in err
    # A gap is named even when progress is not wanted.
    assert run(["-q", "profile", "build", str(kernel), "-o", str(output)]) == 0
    assert "warning: modules cannot be verified" in capsys.readouterr().err


def test_gaps_in_json(kernel, tmp_path, capsys):
    assert run(["-q", "profile", "build", str(kernel), "-o", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "tinyvmi.profile-build"
    (row,) = document["kernels"]
    assert (row["release"], len(row["coverage"])) == ("9.9.9-test", len(registry.names()))
    found = {entry["check"]: entry for entry in row["coverage"]}
    assert found["identity"] == {"check": "identity", "verified": True, "gaps": []}
    assert not found["modules"]["verified"] and found["modules"]["gaps"]


def test_strict_makes_a_gap_an_error_and_writes_nothing(kernel, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "out.profile"
    assert run(["-q", "profile", "build", str(kernel), "-o", str(output), "--strict"]) == Exit.UNVERIFIABLE
    assert "in what can be verified\nhint: each is named above" in capsys.readouterr().err
    assert not output.exists()
    assert run(["-q", "init", "--kernel", str(kernel), "--strict", "new"]) == Exit.UNVERIFIABLE
    assert not (tmp_path / "new").exists()
    assert run(["-q", "init", "--kernel", str(kernel), "--json", "new"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["file"] == "new/tinyvmi.toml" and document["kernels"][0]["coverage"]


class Listed:
    """A profile that says which modules there are."""

    def __init__(self, *available):
        self._golden = replace(small_modules.golden(), available=available)

    def values(self, kind):
        assert kind is type(self._golden)
        return self._golden


def test_a_name_that_no_kernel_has_a_module_of():
    kernels = [Listed("ext4", "virtio_net"), Listed("xfs")]
    require_known_modules(kernels, ["@common", "*nothing*", "ext4", "xfs", "virtio-net"])
    with pytest.raises(UsageError, match="no kernel has a module 'vertio_net'") as caught:
        require_known_modules(kernels, ["ext4", "vertio_net"])
    assert caught.value.hint.startswith("did you mean 'virtio_net'?")
