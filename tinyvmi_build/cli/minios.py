"""`tinyvmi-build minios`: the tree of Mini-OS underneath."""

from __future__ import annotations

from pathlib import Path

import click

from tinyvmi_build.cli.options import VerbGroup, project_options
from tinyvmi_build.progress import Progress


@click.group("minios", cls=VerbGroup)
def command() -> None:
    """Fetch and show the tree of Mini-OS that a monitor is built on.

    minios.tree in tinyvmi.toml is "built-in" (the default), the folder of a
    tree of the Xen Project's, or { git = "URL", rev = "COMMIT" } with a whole
    commit id. A build never reaches for the network: fetch brings the commit
    into the cache, and everything in it is checked against its hash there.
    """


@command.command("fetch")
@project_options
@click.pass_obj
def fetch(progress: Progress, project: Path | None, sets: tuple[str, ...]) -> None:
    """Bring the commit that minios.tree pins into the cache.

    Ends with 2 if minios.tree pins none or the repository has no such commit,
    and with 4 if the repository cannot be reached.

    \b
    Examples:
      tinyvmi-build minios fetch
      tinyvmi-build minios fetch -c web/
    """
    from tinyvmi_build.config.kinds import GitTree
    from tinyvmi_build.config.load import load
    from tinyvmi_build.errors import UsageError
    from tinyvmi_build.minios import git

    tree = load(project, sets).config.minios.tree
    if not isinstance(tree, GitTree):
        raise UsageError(
            f"minios.tree is {str(tree)!r}: there is nothing to fetch",
            hint='minios.tree = { git = "URL", rev = "COMMIT" } pins a commit',
        )
    with progress.step(f"fetch {tree.rev[:12]} from {tree.url}"):
        path = git.fetch(tree.url, tree.rev)
    click.echo(f"commit {tree.rev} is in {path}")


@command.command("show")
@project_options
def show(project: Path | None, sets: tuple[str, ...]) -> None:
    """Say which tree it is: what note, manifest and records will call it.

    \b
    Example:
      tinyvmi-build minios show --set minios.tree=../mini-os
    """
    from tinyvmi_build.config.load import load
    from tinyvmi_build.render.descriptor import base_of

    base, rev = base_of(load(project, sets).config)
    click.echo(f"{base} {rev}")
