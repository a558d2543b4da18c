"""``topoplan import``."""

from __future__ import annotations

import click

from topoplan.cli import render
from topoplan.errors import InputError

EPILOG = """\b
Examples:
  topoplan import ibnetdiscover.out --host-type gb200-tray > fabric.yaml
  ibnetdiscover | topoplan import - > fabric.yaml
  topoplan import topology.conf --host-type hgx-h100 --out fabric.yaml"""


@click.command("import", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader to use; found by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts are (topoplan catalog).")
@click.option("--out", metavar="FILE", help="Where to write it; stdout otherwise.")
def command(files: tuple[str, ...], format_name: str | None, host_type: str | None, out: str | None) -> None:
    """Turn a foreign topology file into Fabric YAML."""
    from topoplan.files.atomic import write_file  # noqa: PLC0415 - help stays quick
    from topoplan.files.fabric_text import format_fabric  # noqa: PLC0415
    from topoplan.planning.inputs import open_fabric  # noqa: PLC0415

    if len(files) > 1:
        raise InputError("several files cannot be merged yet", hint="import the network's file alone")
    fabric = open_fabric(files[0], host_type=host_type, format=format_name).fabric
    render.notes("warning", fabric.warnings)
    render.notes("assumed", fabric.assumed)
    if out:
        write_file(out, format_fabric(fabric))
    else:
        click.echo(format_fabric(fabric), nl=False)
