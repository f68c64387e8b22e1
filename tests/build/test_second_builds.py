"""A second monitor of a kernel finds its golden values compiled, and no image holds anything stale."""

import os

import pytest

from tests.build.conftest import directory_of
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.progress import Progress

QUIET = Progress(quiet=True)
LONG_AGO = (315532800, 315532800)  # 1980, as a wheel's files may have it


def changed(path, old, new):
    """Change a source as a package manager does: the new file is older than all that was made of the old."""
    text = path.read_text()
    assert old in text, f"{path.name} has no {old}"
    path.write_text(text.replace(old, new))
    os.utime(path, LONG_AGO)


@pytest.fixture
def editable(source_tree):
    """`editable("minios_app/x.c")`: that file of the installation, put back afterwards."""
    saved = {}

    def path(name):
        saved[source_tree / name] = (source_tree / name).read_bytes()
        return source_tree / name

    yield path
    for name, data in saved.items():
        name.write_bytes(data)
        os.utime(name, LONG_AGO)


@pytest.fixture
def known(project, built):
    """`known("name", "key=value", …)`: the build of a new project for the kernel that `built` is for."""

    def make(name, *sets):
        sets = [f'kernel.profile="{built.profile}"', "kernel.packages=[]", *sets]
        return build_monitor(load(project(name).root, sets, env={}), QUIET)

    return make


def test_another_monitor_of_a_kernel_is_compiled_in_what_is_its_own(known):
    one, two = known("one", "monitor.name=one"), known("two", "monitor.name=two")
    assert directory_of(one) == directory_of(two)
    assert two.objects == 3  # config, note and the table of symbols
    assert one.image.read_bytes() != two.image.read_bytes()


def test_an_image_is_the_same_with_and_without_what_was_compiled_before(known, tmp_path, monkeypatch):
    known("before", "monitor.name=before", "checks.idt=false")
    warm = known("warm")
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    cold = known("cold")
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "file" / "cache"))
    uncached = known("uncached")
    assert warm.objects < 10 < cold.objects == uncached.objects
    assert warm.elf.read_bytes() == cold.elf.read_bytes() == uncached.elf.read_bytes()
    assert warm.image.read_bytes() == cold.image.read_bytes() == uncached.image.read_bytes()
    assert not directory_of(uncached).exists()


def test_a_changed_source_is_compiled(known, editable):
    before = known("before")
    changed(editable("minios_app/monitor/monitor.c"), '"scans-done"', '"scans-gone"')
    after = known("after")
    assert b"scans-done" in before.elf.read_bytes()
    assert b"scans-done" not in after.elf.read_bytes()
    assert b"scans-gone" in after.elf.read_bytes()


def test_a_changed_header_is_compiled(known, editable):
    known("before")
    changed(
        editable("minios_app/include/tinyvmi/record.h"),
        "#define TINYVMI_RECORD_H",
        "#define TINYVMI_RECORD_H\n#define TINYVMI_MORE 1",
    )
    assert known("after").objects > 5


@pytest.mark.parametrize("name", ["minios_app/meson.build", "minios_app/kernel/meson.build"])
def test_a_changed_flag_recompiles_everything(known, editable, name):
    before = known("before")
    flag = "'-Wall'," if name == "minios_app/meson.build" else "'-fno-omit-frame-pointer',"
    changed(editable(name), flag, f"{flag} '-fno-inline',")
    after = known("after")
    assert after.objects > 60
    assert after.elf.read_bytes() != before.elf.read_bytes()


def test_a_changed_link_script_links_anew(known, editable):
    known("before")
    changed(editable("toolchain/monitor.lds"), "ENTRY(", "another_symbol = 0x1234;\nENTRY(")
    assert b"another_symbol" in known("after").elf.read_bytes()


def test_other_golden_values_of_a_kernel_are_compiled(known, built):
    other = known("other", "golden.hash=sha256")
    ours, theirs = ((x.folder / "generated/rodata_0.c").read_bytes() for x in (built, other))
    assert ours != theirs
    again = known("again")
    assert again.elf.read_bytes() == built.elf.read_bytes() != other.elf.read_bytes()


def test_a_compiler_that_was_replaced_compiles_anew(known, tmp_path, monkeypatch):
    before = known("before")
    wrapper = tmp_path / "bin" / "gcc"
    wrapper.parent.mkdir()
    wrapper.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    after = known("after")
    assert directory_of(after) != directory_of(before)
    assert after.objects > 60


def test_a_message_names_the_file_that_the_user_has(known, editable):
    source = editable("minios_app/monitor/monitor.c")
    changed(source, '"scans-done"', "scans-done")
    with pytest.raises(Exception, match="does not compile") as caught:
        known("wrong")
    assert f"{source}:" in str(caught.value)
