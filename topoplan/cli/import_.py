"""``topoplan import``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from topoplan.cli import render

if TYPE_CHECKING:
    from topoplan.planning.fabric_files import FabricInput, ReadFile

EPILOG = """\b
Examples:
  topoplan import ibnetdiscover.out --host-type gb200-tray > fabric.yaml
  ibnetdiscover | topoplan import - > fabric.yaml
  topoplan import ibnetdiscover.out nvidia-smi-topo.txt cliques.txt --out fabric.yaml
  topoplan import ibnetdiscover.out --names guids.csv --nics "mlx5_[0-7]" > fabric.yaml
  topoplan import cables.csv --columns a=Switch,b=Server,b_port=NIC,bandwidth=Speed:Gb/s > fabric.yaml
  topoplan import topology.conf h100.xml=node-[1-16] b200.xml=node-[17-32] --out fabric.yaml
  topoplan import nodes.json --to slurm-yaml --out topology.yaml
  topoplan import --collect-script > collect.sh
  srun --ntasks-per-node=1 sh collect.sh collected
  topoplan import collected --out fabric.yaml"""
_FILES_SHOWN = 12
_LINES_SHOWN = 12


class _Command(click.Command):
    """Help with the list of formats."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the formats that can be read and those that can be written, then the examples."""
        from topoplan.topologies.formats import READERS  # noqa: PLC0415 - for the help alone
        from topoplan.topologies.writers import WRITERS  # noqa: PLC0415

        with formatter.section("Formats"):
            formatter.write_dl([(reader.name, reader.description) for reader in READERS])
        with formatter.section("Writers (--to)"):
            formatter.write_dl([(writer.name, writer.description) for writer in WRITERS])
        super().format_epilog(ctx, formatter)


@click.command("import", cls=_Command, epilog=EPILOG)
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader to use; found by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts are (topoplan catalog), where no file looked inside.")
@click.option("--names", metavar="CSV", help="What nodes are: header guid,host,device or name,role.")
@click.option("--nics", default="", metavar="LIST", help="NICs that carry the GPUs' traffic, as mlx5_[0-7],!mlx5_2.")
@click.option(
    "--columns", default="", metavar="PART=NAME,...", help="Columns of a table of cables: a=,b=,bandwidth= ..."
)
@click.option("--to", metavar="FORMAT", help="What to write: Fabric YAML unless given, else one of the writers below.")
@click.option("--out", metavar="FILE", help="Where to write it; stdout otherwise.")
@click.option("--collect-script", is_flag=True, help="Print a script that collects such files without root.")
def command(
    files: tuple[str, ...],
    format_name: str | None,
    host_type: str | None,
    names: str | None,
    nics: str,
    columns: str,
    to: str | None,
    out: str | None,
    collect_script: bool,
) -> None:
    """Turn foreign topology files into Fabric YAML, or with --to into another format.

    Several files, or a folder of them, are merged by host name, alias and GUID: the network from one, what is inside a
    host from another, NVLink domains from a third. FILE=HOSTS says which hosts a file about one kind of host describes.
    """
    from topoplan.files.atomic import write_file  # noqa: PLC0415 - help stays quick

    if collect_script:
        from topoplan.topologies.collect import script  # noqa: PLC0415

        text = script()
    else:
        if not files:
            raise click.UsageError("Missing argument 'FILE...'.", click.get_current_context())
        from topoplan.files.fabric_text import format_fabric  # noqa: PLC0415
        from topoplan.planning.inputs import open_fabric, read_options  # noqa: PLC0415
        from topoplan.topologies import writers  # noqa: PLC0415

        write = writers.find(to).write if to else format_fabric
        options = read_options(names, nics, columns)
        found = open_fabric(files, host_type=host_type, format=format_name, options=options)
        _report(found)
        text = write(found.fabric)
    if out:
        write_file(out, text)
        render.note(f"wrote {out}")
    else:
        click.echo(text, nl=False)


def _report(found: FabricInput) -> None:
    """What was read, what came of it, what was assumed and what is doubtful, on stderr."""
    from topoplan.planning.summary import fabric_summary  # noqa: PLC0415 - help stays quick

    for line in _read(found.files):
        render.note(f"read {line}")
    facts = fabric_summary(found.fabric)
    words = {"host": facts["hosts"], "GPU": facts["gpus"], "NIC": facts["nics"], "NVLink domain": facts["islands"]}
    words |= {f"{tier} group": count for tier, count in facts["groups"].items()}
    counts = ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in words.items())
    render.note(f"fabric {facts['name']}: {counts}")
    _list("assumed", found.fabric.assumed)
    _list("warnings", found.fabric.warnings)


def _read(files: Sequence[ReadFile]) -> list[str]:
    """A line for each file, for each format where there are many."""
    if len(files) <= _FILES_SHOWN:
        return [f"{file.path}: {_told(file, file.hosts)}" for file in files]
    kinds: dict[str, list[ReadFile]] = {}
    for file in files:
        kinds.setdefault(file.skipped or file.format, []).append(file)
    return [
        f"{some[0].path} and {len(some) - 1} more: {_told(some[0], sum(file.hosts for file in some))}"
        if len(some) > 1
        else f"{some[0].path}: {_told(some[0], some[0].hosts)}"
        for some in kinds.values()
    ]


def _told(file: ReadFile, hosts: int) -> str:
    if file.skipped:
        return f"left out, {file.skipped}"
    return f"{file.format}, {hosts} host{'s' * (hosts != 1)}"


def _list(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    render.note(f"{title}:")
    for line in lines[:_LINES_SHOWN]:
        render.note(f"  - {line}")
    if len(lines) > _LINES_SHOWN:
        render.note(f"  - and {len(lines) - _LINES_SHOWN} more, all in the YAML under {title}")
