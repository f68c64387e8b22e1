"""`tinyvmi-build completion`: the script that makes a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tinyvmi_build.cli.options import Verb


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      tinyvmi-build completion bash > /etc/bash_completion.d/tinyvmi-build
      tinyvmi-build completion zsh > ~/.zfunc/_tinyvmi-build
      tinyvmi-build completion fish > ~/.config/fish/completions/tinyvmi-build.fish
    """
    from tinyvmi_build.cli.main import root

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(root, {}, "tinyvmi-build", "_TINYVMI_BUILD_COMPLETE").source())
