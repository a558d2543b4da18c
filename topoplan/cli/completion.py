"""``topoplan completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", epilog='\b\nExample:\n  eval "$(topoplan completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "topoplan", "_TOPOPLAN_COMPLETE").source())
