"""Real builds of the monitor for Debian's cloud kernel."""

import gzip
import json
import os

import pytest

from tests.build.conftest import directory_of
from tinyvmi_build.config.load import load
from tinyvmi_build.config.model import Config
from tinyvmi_build.errors import Exit, MissingEnvironmentError
from tinyvmi_build.image.build import build_host_checker, build_monitor
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.image.toolchain import describe_toolchain
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.xen.folder import read_manifest

QUIET = Progress(quiet=True)
LIMIT = 256 << 10  # bytes of an image without its golden values


def test_the_build_folder_is_complete_and_consistent(built):
    names = {path.name for path in built.folder.iterdir()}
    assert names == {
        "generated",
        "meson",
        *(f"tinyvmi-guest.{s}" for s in ("elf", "gz", "cfg", "te", "profile", "json")),
    }
    manifest = read_manifest(built.folder)
    assert (manifest.image, manifest.image_id) == (built.image, built.image_id)
    found = inspect(built.image)
    assert found.image_id == built.image_id
    assert found.tinyvmi["build_ids"] == [k.build_id for k in ProfileFile.load(built.profile).kernels]
    assert {"HYPERCALL_PAGE", "VIRT_BASE", "LOADER", "XEN_VERSION"} <= set(found.xen)
    assert inspect(built.elf).image_id == built.image_id


def test_no_section_is_writable_and_executable(built):
    assert [s.name for s in inspect(built.image).sections if {"w", "x"} <= set(s.flags)] == []


def test_the_image_is_small(built):
    found = inspect(built.image)
    golden = sum(p.stat().st_size for p in directory_of(built).rglob("*_0.c.o"))  # rodata, idt, …
    assert found.elf_size - golden <= LIMIT


def test_the_gzip_file_says_nothing_of_time_or_place(built):
    raw = built.image.read_bytes()
    assert raw[3:10] == bytes([0, 0, 0, 0, 0, 2, 3])  # no name, no time, best compression, Unix
    assert str(built.folder).encode() not in gzip.decompress(raw)


def test_two_builds_in_two_places_are_byte_identical(project, built, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0 -DSURPRISE")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    there = build_monitor(project("deeper/other"), QUIET)
    assert built.image.read_bytes() == there.image.read_bytes()
    for left in (
        built.xl_config,
        built.profile,
        built.manifest,
        *sorted((built.folder / "generated").iterdir()),
    ):
        right = there.folder / os.path.relpath(left, built.folder)
        assert left.read_bytes() == right.read_bytes()


def test_an_image_names_its_toolchain(built):
    assert inspect(built.image).tinyvmi["toolchain"] == describe_toolchain()


def test_a_second_build_does_nothing(built_before):
    first = build_monitor(built_before, QUIET)
    folders = (first.folder, directory_of(first))
    made = [
        p for folder in folders for p in folder.rglob("*") if p.suffix in (".o", ".c", ".gz", ".elf", ".json")
    ]
    before = {p: p.stat().st_mtime_ns for p in made}
    assert len(before) > 40
    second = build_monitor(built_before, QUIET)
    assert second.objects == 0
    assert {change.what for change in second.changes} == {"unchanged"}
    assert before == {p: p.stat().st_mtime_ns for p in made}


def test_a_change_recompiles_only_what_it_touches(built_before):
    build_monitor(built_before, QUIET)
    changed = build_monitor(load(built_before.root, ["monitor.period=3s"], env={}), QUIET)
    assert {c.path for c in changed.changes if c.what == "updated"} >= {
        "generated/config.c",
        "generated/note.c",
    }
    assert changed.objects == 3  # those two, and the image's own symbol table
    fewer = build_monitor(load(built_before.root, ["checks.rodata=false"], env={}), QUIET)
    others = [name for name in Config().checks_made if name != "rodata"]
    assert inspect(fewer.image).tinyvmi["checks"] == others
    assert fewer.image_id != changed.image_id


def test_a_build_from_a_profile_is_the_same(built_before, built):
    sets = [f'kernel.profile="{built.profile}"', "kernel.packages=[]"]
    again = build_monitor(load(built_before.root, sets, env={}), QUIET)
    assert again.image.read_bytes() == built.image.read_bytes()


def test_a_compile_error_shows_command_and_compiler(built_before, monkeypatch):
    folder = build_monitor(built_before, QUIET).folder
    broken = folder / "generated" / "config.c"
    text = broken.read_text() + "int x = ;\n"
    monkeypatch.setattr("tinyvmi_build.image.build.render_monitor", lambda *_: broken.write_text(text) and [])
    with pytest.raises(MissingEnvironmentError) as caught:
        build_monitor(built_before, QUIET)
    assert caught.value.exit is Exit.ENVIRONMENT
    assert "does not compile:" in caught.value.message
    assert "config.c" in caught.value.message
    assert "error: expected expression" in caught.value.message
    assert "(command: " in caught.value.message


def test_an_interrupted_or_damaged_meson_folder_is_set_up_anew(built_before, built):
    (directory_of(build_monitor(built_before, QUIET)) / "meson" / "build.ninja").unlink()
    assert build_monitor(built_before, QUIET).image.read_bytes() == built.image.read_bytes()


def test_the_checker_for_this_machine_and_the_image_do_not_disturb_each_other(built_before):
    build_monitor(built_before, QUIET)
    checker = build_host_checker(built_before, QUIET)
    assert os.access(checker, os.X_OK)
    assert build_monitor(built_before, QUIET).objects == 0


def test_the_manifest_names_what_is_watched(built_before):
    built = build_monitor(load(built_before.root, ["target.domain=web-1"], env={}), QUIET)
    manifest = json.loads(built.manifest.read_text())
    assert manifest["target"] == "web-1"
    assert manifest["checks"] == inspect(built.image).tinyvmi["checks"]
