"""``topoplan catalog``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render

if TYPE_CHECKING:
    from topoplan.topologies.catalog import Entry

EPILOG = """\b
Examples:
  topoplan catalog
  topoplan catalog meta-roce-24k --set pods=2 --set broken=3 > fabric.yaml
  topoplan catalog gb200-nvl72 --sources
  topoplan solve job.yaml --topology meta-roce-24k:pods=2,broken=3

Every fabric also takes broken, a number of hosts (seed decides which) or their names
(broken=host-1-[1-2]+host-7)."""


@click.command("catalog", epilog=EPILOG)
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a size; may be repeated.")
@click.option("--sources", is_flag=True, help="List each number of NAME with its source instead.")
@options.output
def command(name: str | None, settings: tuple[str, ...], sources: bool, output: str) -> None:
    """List the reference fabrics, host types and model presets, or print the Fabric YAML of one."""
    from topoplan.topologies import catalog  # noqa: PLC0415 - help stays quick

    if name is None:
        _list(output)
        return
    spec = name + "".join(f"{',' if i or ':' in name else ':'}{item}" for i, item in enumerate(settings))
    known, parameters = catalog.parse_spec(spec)
    if sources:
        _sources(catalog.entry(known), output)
        return
    click.echo(catalog.text(known, **parameters), nl=False)


def _sources(entry: Entry, output: str) -> None:
    if output != "table":
        facts = [{"what": f.what, "value": f.value, "basis": f.basis, "source": f.source} for f in entry.facts]
        render.document({"name": entry.name, "description": entry.description, "facts": facts}, output)
        return
    click.echo(entry.description)
    for fact in entry.facts:
        click.echo(f"  {fact.what}: {fact.value}")
        click.echo(f"    {fact.basis}; {fact.source}")


def _list(output: str) -> None:
    from topoplan.model.presets import PRESETS  # noqa: PLC0415 - help stays quick
    from topoplan.topologies import catalog  # noqa: PLC0415

    entries = [catalog.entry(name) for name in catalog.names()]
    if output != "table":
        render.document(
            {
                "fabrics": [_record(entry) for entry in entries],
                "host_types": list(catalog.host_type_names()),
                "models": list(PRESETS),
            },
            output,
        )
        return
    click.echo("Fabrics (--topology NAME or NAME:key=value,...):")
    for entry in entries:
        click.echo(f"  {entry.name}: {entry.description}")
        sizes = ", ".join(f"{key}={p.value:g}" for key, p in entry.parameters.items())
        if sizes:
            click.echo(f"      {sizes}")
    click.echo("Host types (--host-type NAME):")
    for name in catalog.host_type_names():
        kind = catalog.host_type(name)
        click.echo(f"  {name}: {kind.gpus} GPUs, {len(kind.nics)} NICs")
    click.echo("Models (model: NAME in a job):")
    for name, shape in PRESETS.items():
        click.echo(f"  {name}: {shape.parameters / 1e9:.0f} billion parameters; {shape.source}")


def _record(entry: Entry) -> dict[str, Any]:
    parameters = {
        key: {"default": p.value, "least": p.least, "most": p.most, "what": p.what}
        for key, p in entry.parameters.items()
    }
    return {"name": entry.name, "description": entry.description, "parameters": parameters}
