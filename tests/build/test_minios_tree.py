"""What the monitor asks of Mini-OS; and builds on the tree that TINYVMI_MINIOS_TREE names, if it does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build import minios_interface as interface
from tests.build.conftest import ROOT
from tests.core.conftest import write_check_numbers
from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.progress import Progress
from tinyvmi_build.xen.folder import read_manifest

QUIET = Progress(quiet=True)
APP = ROOT / "minios_app"
# What is compiled for either base: all but what is the built-in one's.
SHARED = sorted(
    path.relative_to(APP / "platform")
    for folder in ("minios", "xen")
    for path in (APP / "platform" / folder).glob("*.c")
    if path.name != "base_built_in.c"
)
VARIABLE = "TINYVMI_MINIOS_TREE"
TREE = os.environ.get(VARIABLE)
needs_tree = pytest.mark.skipif(not TREE, reason=f"{VARIABLE} names no tree of the Xen Project's Mini-OS")
FLAGS = ["-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
# What the tree's own macros and inline functions need beyond what is declared.
BEHIND_MACROS = {"_text", "hypercall_page", "phys_to_machine_mapping", "start_info_union", "monotonic_clock"}


def compile_c(text: Path | str, *flags: str) -> str:
    """ "" if gcc takes it, else what gcc says."""
    source = ["-x", "c", "-"] if isinstance(text, str) else [str(text)]
    done = subprocess.run(
        ["gcc", *FLAGS, *flags, *source],
        input=text if isinstance(text, str) else None,
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("declared")
    interface.write_headers(folder)
    write_check_numbers(folder)
    return f"-I{folder}"


@pytest.mark.parametrize("name", SHARED, ids=str)
def test_only_what_is_declared_is_used(declared: str, name: Path) -> None:
    own = [f"-I{folder}" for folder in (APP / "include", APP, APP / "platform")]
    own += ["-D__XEN_INTERFACE_VERSION__=0x00030205"]
    assert compile_c(APP / "platform" / name, declared, *own) == ""


def test_what_is_not_declared_is_noticed(declared: str) -> None:
    ours = "#include <mini-os/mm.h>\nunsigned long f(void);\nunsigned long f(void) { return %s; }\n"
    assert compile_c(ours % "(unsigned long)need_pgt(0)", declared) == ""
    assert "allocate_ondemand" in compile_c(ours % "allocate_ondemand(1, 1)", declared)
    assert "No such file" in compile_c("#include <mini-os/events.h>\n", declared)


@pytest.mark.parametrize("header", interface.declarations())
def test_the_built_in_base_declares_it(header: str) -> None:
    text = interface.claims(header, interface.declarations()[header])
    include = f"-I{APP / 'kernel/include'}"
    flags = [include, "-D__XEN_INTERFACE_VERSION__=0x00040e00", "-Wno-missing-prototypes"]
    assert compile_c(text, *flags) == ""


def test_a_false_claim_is_noticed() -> None:
    flags = [f"-I{APP / 'kernel/include'}", "-D__XEN_INTERFACE_VERSION__=0x00040e00"]
    for line in ("#define PAGE_SIZE 8192", "typedef uint32_t pgentry_t;", "int *need_pgt(unsigned long va);"):
        assert "static assertion" in compile_c(interface.claims("mini-os/mm.h", [line]), *flags), line


# With a tree


@pytest.fixture(scope="module")
def on_tree(project: Callable[..., Loaded]) -> BuildResult:
    return build_monitor(project("on-tree", f'[minios]\ntree = "{TREE}"\n'), QUIET)


@needs_tree
@pytest.mark.parametrize("header", interface.declarations())
def test_the_tree_declares_it(on_tree: BuildResult, header: str) -> None:
    text = interface.claims(header, interface.declarations()[header])
    flags = (on_tree.folder / "minios/flags.txt").read_text().split("\n")
    assert compile_c(text, *filter(None, flags)) == ""


@needs_tree
def test_the_image_says_which_tree(on_tree: BuildResult) -> None:
    found = inspect(on_tree.image)
    assert found.tinyvmi is not None
    assert (found.tinyvmi["base"], found.image_id) == ("mini-os", on_tree.image_id)
    assert found.xen["XEN_VERSION"] == "xen-3.0"
    assert read_manifest(on_tree.folder).image_id == on_tree.image_id
    rev = found.tinyvmi["base_rev"]
    assert rev in on_tree.manifest.read_text()
    assert rev in (on_tree.folder / "generated/config.c").read_text()
    if (Path(str(TREE)) / ".git").exists():
        head = subprocess.run(["git", "-C", str(TREE), "rev-parse", "HEAD"], capture_output=True, text=True)
        assert rev == head.stdout.strip()


@needs_tree
def test_our_names_are_our_own(on_tree: BuildResult) -> None:
    given = symbols(on_tree.folder / "meson/tree/monitor.o", "--defined-only", "--extern-only")
    assert given == {"app_main", "console_input"}
    # What is weak may be missing: the variants of digests for vector registers.
    taken = symbols(on_tree.folder / "meson/tree/monitor.o", "--undefined-only")
    assert taken <= interface.names() | BEHIND_MACROS


@needs_tree
def test_two_builds_in_two_places_are_byte_identical(
    project: Callable[..., Loaded], on_tree: BuildResult
) -> None:
    there = build_monitor(project("deeper/on-tree", f'[minios]\ntree = "{TREE}"\n'), QUIET)
    assert there.image.read_bytes() == on_tree.image.read_bytes()
    assert there.elf.read_bytes() == on_tree.elf.read_bytes()
    assert str(there.folder).encode() not in there.elf.read_bytes()


@needs_tree
def test_the_tree_is_not_touched_and_a_copy_without_git_has_a_digest(
    project: Callable[..., Loaded], on_tree: BuildResult, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(str(TREE), copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file() and not p.is_symlink()}
    first = build_monitor(project("digest", f'[minios]\ntree = "{copy}"\n'), QUIET)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file() and not p.is_symlink()} == before
    assert '"base_rev": "sha256:' in first.manifest.read_text()
    (copy / "left-over.o").write_bytes(b"of a build")
    again = build_monitor(project("digest-again", f'[minios]\ntree = "{copy}"\n'), QUIET)
    assert again.image_id == first.image_id
    (copy / "kernel.c").write_text((copy / "kernel.c").read_text() + "\n/* changed */\n")
    changed = build_monitor(project("digest-changed", f'[minios]\ntree = "{copy}"\n'), QUIET)
    assert changed.image_id != first.image_id


@needs_tree
def test_back_and_forth(project: Callable[..., Loaded], on_tree: BuildResult, built: BuildResult) -> None:
    """One build folder, both bases in turn: each time what a fresh folder gives."""
    loaded = project("back-and-forth")
    for tree, wanted in (("built-in", None), (TREE, on_tree), ("built-in", None)):
        result = build_monitor(load(loaded.root, [f"minios.tree={tree}"], env={}), QUIET)
        assert result.image.read_bytes() == (wanted or built).image.read_bytes()
        assert (result.folder / "generated/minios.mk").exists() == (wanted is not None)


@needs_tree
def test_a_tree_that_hides_its_symbols(on_tree: BuildResult, tmp_path: Path) -> None:
    """Link as trees since December 2023 do: first the tree alone, with all names hidden but those that
    GLOBAL_PREFIX keeps, then with the program.  Without GLOBAL_PREFIX the same link must fail.
    """
    directory, app = on_tree.folder / "minios", on_tree.folder / "meson/tree/monitor.o"
    head = directory / "obj/arch/x86/x86_64.o"
    objects = [p for p in (directory / "obj").rglob("*.o") if p != head and not p.name.startswith("mini-os")]
    subprocess.run(["ld", "-r", "-o", tmp_path / "whole.o", head, *objects], check=True)
    shared = sorted(symbols(app, "--extern-only") | {"_start"})

    def link(names: list[str]) -> str:
        keep = [word for name in names for word in ("-G", name)]
        subprocess.run(["objcopy", *keep, tmp_path / "whole.o", tmp_path / "kern.o"], check=True)
        script = next(directory.rglob("minios-x86_64.lds"))
        command = ["ld", "-m", "elf_x86_64", "-T", script, tmp_path / "kern.o", app, "-o", tmp_path / "image"]
        return subprocess.run(command, capture_output=True, text=True).stderr

    assert "undefined reference to `xenbus_read'" in link(["_start"])
    assert "undefined reference" not in link(shared)
    found = subprocess.run(["nm", tmp_path / "image"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in found.splitlines() if line.endswith(" app_main")] == ["T"]


def symbols(path: Path, *options: str) -> set[str]:
    """Names that `nm` lists, without those that are weak and undefined."""
    done = subprocess.run(
        ["nm", "--format=posix", *options, path], capture_output=True, text=True, check=True
    )
    return {name for name, kind, *_ in map(str.split, done.stdout.splitlines()) if kind != "w"}
