"""The files that every monitor has, held against goldens and the compiler."""

import json

import pytest

from tinyvmi_build.config.model import Config
from tinyvmi_build.render.descriptor import canonical, descriptor, image_id, tree_hash
from tinyvmi_build.render.plan import domain_items, identity_items, rendered

IDS = ["ab" * 20]
TOOLCHAIN = {"compiler": "gcc (Debian 12.2.0-14) 12.2.0", "linker": "GNU ld 2.40"}


@pytest.fixture
def files(monkeypatch):
    """The rendered files, with the hashes of the sources held still so that goldens stay."""
    monkeypatch.setattr("tinyvmi_build.render.descriptor.tree_hash", lambda *folders: "0" * 64)
    monkeypatch.setattr("tinyvmi_build.render.env._template_hash", lambda env, template: "0" * 16)
    return rendered([*domain_items(Config()), *identity_items(Config(), IDS, TOOLCHAIN)])


def test_goldens(files, golden):
    for name, text in files.items():
        golden(f"render/{name}", text)


def test_sources_lists_the_c_files(files):
    assert files["generated/sources.txt"] == "config.c\nnote.c\n"


def test_the_description_has_no_place_and_every_input(tmp_path):
    one = descriptor(Config(), IDS, TOOLCHAIN)
    assert json.loads(canonical(one)) == one
    assert set(one) == {
        *("abi", "version", "name", "config", "templates", "base", "base_rev", "build_ids", "checks"),
        "toolchain",
    }
    assert len(image_id(one)) == 16
    assert image_id(one) != image_id(descriptor(Config(), IDS * 2, TOOLCHAIN))
    newer = TOOLCHAIN | {"compiler": "gcc (Debian 14.2.0-19) 14.2.0"}
    assert image_id(one) != image_id(descriptor(Config(), IDS, newer))


def test_a_tree_hash_follows_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.c").write_text("1")
    first = tree_hash(tmp_path / "a")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "x.pyc").write_text("1")
    (tmp_path / "a" / ".x.swp").write_text("1")
    assert tree_hash(tmp_path / "a") == first
    (tmp_path / "a" / "x.c").write_text("2")
    second = tree_hash(tmp_path / "a")
    (tmp_path / "a" / "x.c").rename(tmp_path / "a" / "y.c")
    assert len({first, second, tree_hash(tmp_path / "a")}) == 3
