"""`tinyvmi-build clean`: remove what the tool has built, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from tinyvmi_build.cli.options import PATH, Verb
from tinyvmi_build.errors import UsageError
from tinyvmi_build.progress import Progress

_OURS = ("generated", "meson", "meson-host")


@click.command("clean", cls=Verb)
@click.argument("folder", metavar="[DIR]", required=False, type=PATH, default=Path())
@click.option("--cache", is_flag=True, help="Also remove the cache of profiles and the lab's downloads.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def command(progress: Progress, folder: Path, cache: bool, dry_run: bool) -> None:
    """Remove the build folders beside the tinyvmi.toml in DIR (default: here).

    Only what the tool makes is removed: in each build/NAME the folders
    generated/, meson/ and meson-host/ and the files tinyvmi-NAME.*; anything
    else stays, and so does its folder.

    \b
    Examples:
      tinyvmi-build clean
      tinyvmi-build clean --dry-run --cache
    """
    from tinyvmi_build.config.load import FILE_NAME
    from tinyvmi_build.paths import cache_root, is_own_cache

    if not (folder / FILE_NAME).is_file() and not cache:
        raise UsageError(f"{folder / FILE_NAME}: no such file", hint="clean works beside a tinyvmi.toml")
    removed = []
    if (folder / FILE_NAME).is_file():
        for build in sorted((folder / "build").glob("*/")):
            removed += _build_folder(build)
    if cache and cache_root().exists():
        if not is_own_cache(cache_root()):
            raise UsageError(
                f"{cache_root()}: was not made by tinyvmi-build, so it stays",
                hint="remove it by hand if it is a cache",
            )
        removed.append(cache_root())
    for path in removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path}")
        if not dry_run:
            _remove(path)
    if not dry_run:
        for build in {
            *(path.parent for path in removed if path.parent.parent.name == "build"),
            folder / "build",
        }:
            _remove_if_empty(build)
    if not removed:
        progress.note("nothing to remove")


def _build_folder(build: Path) -> list[Path]:
    """What is ours in one folder below build/, if `build` made it."""
    if build.is_symlink() or not (build / "generated" / "sources.txt").is_file():
        return []
    return [*(build / name for name in _OURS if (build / name).is_dir()), *sorted(build.glob("tinyvmi-*.*"))]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _remove_if_empty(path: Path) -> None:
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
