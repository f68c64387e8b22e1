"""Which tree a configuration names, and its files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyvmi_build.config.kinds import GitTree
from tinyvmi_build.errors import Exit, MissingEnvironmentError, TinyVMIError, UsageError
from tinyvmi_build.minios import git
from tinyvmi_build.minios.source import source

FILES = {
    "Makefile": "APP_OBJS :=\nconfig:\n\techo >$(CONFIG_FILE)\nGLOBAL_PREFIX := x\n",
    "Config.mk": "include $(MINIOS_CONFIG)\nMINIOS_ROOT = .\n",
    "minios.mk": "",
    "include/hypervisor.h": "",
    "arch/x86/arch.mk": "",
    "kernel.c": "int one;\n",
}


def run_git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "minios"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder with what a Mini-OS is known by."""
    tree = tmp_path / "tree"
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "kernel.c").chmod(0o755)
    return tree


@pytest.fixture
def repository(plain: Path) -> tuple[Path, str]:
    """The same as a git work tree, and its commit."""
    run_git(plain, "init", "--quiet")
    run_git(plain, "add", ".")
    run_git(plain, "commit", "--quiet", "-m", "one")
    return plain, run_git(plain, "rev-parse", "HEAD")


def complaint(tree: object) -> TinyVMIError:
    with pytest.raises(TinyVMIError) as caught:
        source(tree)  # type: ignore[arg-type]
    return caught.value


def test_the_built_in_base_is_no_tree() -> None:
    assert source("built-in") is None


def test_a_clean_work_tree_is_its_commit(repository: tuple[Path, str], tmp_path: Path) -> None:
    tree, commit = repository
    (tree / "untracked.c").write_text("int two;\n")
    found = source(tree)
    assert found is not None
    assert found.rev == commit
    found.copy_to(tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file()}
    assert copied == set(FILES)
    assert (tmp_path / "copy/kernel.c").read_text() == FILES["kernel.c"]
    assert (tmp_path / "copy/kernel.c").stat().st_mode & 0o111


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_work_tree_is_refused(repository: tuple[Path, str], staged: bool) -> None:
    tree, commit = repository
    (tree / "kernel.c").write_text("int two;\n")
    if staged:
        run_git(tree, "add", ".")
    error = complaint(tree)
    assert error.exit is Exit.USAGE
    assert error.message == f"minios.tree: {tree}: kernel.c changed since commit {commit[:12]}"


def test_a_folder_without_git_is_a_digest_of_its_files(plain: Path, tmp_path: Path) -> None:
    def digest() -> str:
        found = source(plain)
        assert found is not None
        return found.rev

    first = digest()
    assert first.startswith("sha256:")
    for name in ("kernel.o", "mini-os.gz", "include/mini-os", ".hidden"):
        (plain / name).write_text("not source")
    assert digest() == first
    (plain / "include/itself").symlink_to(".")
    with_link = digest()
    (plain / "kernel.c").write_text("int two;\n")
    assert len({first, with_link, digest()}) == 3
    found = source(plain)
    assert found is not None
    found.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy/include/itself/hypervisor.h").is_file()
    assert not (tmp_path / "copy/kernel.o").exists()


@pytest.mark.parametrize("where", ["/etc/passwd", "../outside"])
def test_a_link_out_of_the_tree_is_refused(plain: Path, where: str) -> None:
    (plain.parent / "outside").write_text("secret")
    (plain / "link").symlink_to(where)
    error = complaint(plain)
    assert (error.exit, "leads out of the tree" in error.message) == (Exit.USAGE, True)


def test_what_is_no_tree(tmp_path: Path, plain: Path) -> None:
    assert "no such folder" in complaint(tmp_path / "nowhere").message
    assert "it lacks Makefile, Config.mk" in complaint(tmp_path).message
    (plain / "Config.mk").write_text("include config/MiniOS.mk\n")
    error = complaint(plain)
    assert error.message.endswith("it lacks MINIOS_CONFIG in Config.mk, MINIOS_ROOT in Config.mk")
    assert error.exit is Exit.USAGE


def test_without_git(repository: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = complaint(repository[0])
    assert (error.exit, error.hint) == (Exit.ENVIRONMENT, "apt-get install git")


def test_a_broken_repository(plain: Path) -> None:
    (plain / ".git").mkdir()
    error = complaint(plain)
    assert (error.exit, "git cannot read it" in error.message) == (Exit.ENVIRONMENT, True)


# A pinned commit


def test_a_pinned_commit_must_be_fetched_first(
    repository: tuple[Path, str], cache: Path, tmp_path: Path
) -> None:
    tree, commit = repository
    pin = GitTree(str(tree), commit)
    error = complaint(pin)
    assert (error.exit, error.hint) == (Exit.ENVIRONMENT, "tinyvmi-build minios fetch")
    (tree / "kernel.c").write_text("int two;\n")
    run_git(tree, "commit", "--quiet", "-a", "-m", "two")  # the pinned one is not the newest
    assert git.fetch(pin.url, pin.rev) == cache / f"{commit}.git"
    shutil.rmtree(tree)  # nothing is asked of it any more
    assert git.fetch(pin.url, pin.rev) == cache / f"{commit}.git"
    found = source(pin)
    assert found is not None
    assert found.rev == commit
    found.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy/kernel.c").read_text() == FILES["kernel.c"]


def test_a_commit_that_is_not_there(repository: tuple[Path, str], cache: Path) -> None:
    tree, commit = repository
    blob = run_git(tree, "rev-parse", "HEAD:kernel.c")
    for rev in ("1" * 40, blob):
        with pytest.raises(UsageError, match=f"has no commit {rev}"):
            git.fetch(str(tree), rev)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("url", ["/no/such/repository", "ext::sh -c true", "http://127.0.0.1:9/x.git"])
def test_a_repository_that_cannot_be_reached(url: str, cache: Path) -> None:
    with pytest.raises(MissingEnvironmentError, match="cannot be fetched: "):
        git.fetch(url, "1" * 40)
    assert list(cache.iterdir()) == []


def test_a_damaged_copy_is_noticed(repository: tuple[Path, str], cache: Path) -> None:
    tree, commit = repository
    path = git.fetch(str(tree), commit)
    pack = next((path / "objects").rglob("*.pack"), None)
    if pack is None:  # a fetch of few objects leaves them loose
        pack = max((path / "objects").glob("??/*"), key=lambda p: p.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    error = complaint(GitTree(str(tree), commit))
    assert error.exit is Exit.ENVIRONMENT
    assert f"commit {commit} is damaged" in error.message
    assert str(path) in (error.hint or "")
