"""``hippo completion``: what a shell needs to complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete an argument with the names of files."""
    return [CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a script that lets the shell complete commands and options.

    Put the line of the example into the shell's start-up file: ~/.bashrc, or ~/.zshrc with zsh for bash. Of fish, write
    the script to ~/.config/fish/completions/hippo.fish.

    Example: eval "$(hippo completion bash)"
    """
    from hippo_client.cli.main import app

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(app, {}, "hippo", "_HIPPO_COMPLETE").source())
