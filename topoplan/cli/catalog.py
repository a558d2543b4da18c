"""``topoplan catalog``."""

from __future__ import annotations

import click

EPILOG = """\b
Examples:
  topoplan catalog
  topoplan catalog two-pods-fragmented > fabric.yaml"""


@click.command("catalog", epilog=EPILOG)
@click.argument("name", required=False, metavar="[NAME]")
def command(name: str | None) -> None:
    """List the reference fabrics, host types and model presets, or print the Fabric YAML of one."""
    from topoplan.model.presets import PRESETS  # noqa: PLC0415 - help stays quick
    from topoplan.topologies import catalog  # noqa: PLC0415

    if name:
        click.echo(catalog.text(name), nl=False)
        return
    click.echo("Fabrics (--topology NAME):")
    for known in catalog.names():
        click.echo(f"  {known}: {catalog.entry(known).description}")
    click.echo("Host types (--host-type NAME):")
    for known in catalog.host_type_names():
        kind = catalog.host_type(known)
        click.echo(f"  {known}: {kind.gpus} GPUs, {len(kind.nics)} NICs")
    click.echo("Models (model: NAME in a job):")
    for known, shape in PRESETS.items():
        click.echo(f"  {known}: {shape.parameters / 1e9:.0f} billion parameters; {shape.source}")
