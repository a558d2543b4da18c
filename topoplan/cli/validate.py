"""``topoplan validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from topoplan.cli import options, render
from topoplan.errors import InputError, TopoplanError, VerificationError

EPILOG = """\b
Examples:
  topoplan validate fabric.yaml job.yaml plan
  topoplan validate ibnetdiscover.out --strict
  topoplan validate meta-roce-24k:broken=3 -o json

What is irregular in a fabric is listed with what it costs: how much longer an all-to-all and a
ring all-reduce over the whole fabric take there than where all is as usual. A fabric may be
valid and irregular: --strict makes that exit 6. Files that are not valid exit 2."""

_SHOWN = 24  # findings of a file on the terminal; the rest are counted


@click.command("validate", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "format_name", metavar="FORMAT", help="Reader for foreign files; by content otherwise.")
@click.option("--host-type", metavar="NAME", help="What the hosts of a foreign file are (topoplan catalog).")
@click.option("--strict", is_flag=True, help="Exit 6 when something irregular costs a job time or cuts hosts off.")
@click.option("--all", "everything", is_flag=True, help="List every finding.")
@options.output
def command(
    files: tuple[str, ...], format_name: str | None, host_type: str | None, strict: bool, everything: bool, output: str
) -> None:
    """Check Fabric, Job, plan and foreign topology files, and show what is irregular in each fabric.

    Every file's first mistake is shown.
    """
    records = [_record(file, format_name, host_type) for file in files]
    if output == "table":
        for record in records:
            _show(record, len(record["findings"]) if everything else _SHOWN)
    else:
        render.document({"files": [_plain(record) for record in records]}, output)
    failed = sum(not record["valid"] for record in records)
    if failed:
        raise InputError(f"{failed} of {len(files)} files are not valid")
    costly = sum((finding.cost or 0) > 1 for record in records for finding in record["findings"])
    if strict and costly:
        raise VerificationError(
            f"{costly} irregularities cost a job time", hint="without --strict they are only listed"
        )


def _record(file: str, format_name: str | None, host_type: str | None) -> dict[str, Any]:
    """What a file is, or why it is not valid."""
    try:
        return {"file": file, "valid": True, **_describe(file, format_name, host_type)}
    except TopoplanError as error:
        return {"file": file, "valid": False, "error": str(error), "findings": ()}


def _describe(file: str, format_name: str | None, host_type: str | None) -> dict[str, Any]:
    from topoplan.files.inputs import read_source  # noqa: PLC0415 - help stays quick
    from topoplan.planning.folder import is_plan, open_plan  # noqa: PLC0415
    from topoplan.planning.health import examine  # noqa: PLC0415
    from topoplan.planning.inputs import kind_of, open_fabric, open_job  # noqa: PLC0415

    if format_name is None and is_plan(Path(file)):
        plan = open_plan(file).plan
        return {"kind": "plan", "name": plan.job, "findings": ()}
    if Path(file).is_file() and kind_of(read_source(file).content[:65536].decode("utf-8", "replace")) == "Job":
        job = open_job(file).job
        return {"kind": "job", "name": job.name, "ranks": job.ranks, "findings": ()}
    found = open_fabric(file, host_type=host_type, format=format_name)
    fabric = found.fabric
    about = {"kind": "fabric", "name": fabric.name, "format": found.format}
    return {**about, "hosts": len(fabric.hosts), "gpus": fabric.gpus, "findings": examine(fabric)}


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    findings = [
        {
            "kind": item.kind,
            "where": item.where,
            "says": item.says,
            "cut_off": item.cost == float("inf"),
            "slowdown": {"all_to_all": _finite(item.all_to_all), "all_reduce": _finite(item.all_reduce)},
        }
        for item in record["findings"]
    ]
    return {**record, "findings": findings}


def _show(record: dict[str, Any], most: int) -> None:
    if not record["valid"]:
        render.note(f"topoplan: error: {record['error']}")
        return
    sizes = {"plan": "", "job": ", {ranks} ranks", "fabric": " ({format}), {hosts} hosts, {gpus} GPUs"}[record["kind"]]
    name = f"plan of {record['name']}" if record["kind"] == "plan" else f"{record['kind']} {record['name']}"
    click.echo(f"{record['file']}: {name}{sizes.format(**record)}: valid")
    findings = record["findings"]
    if not findings:
        return
    rows = [
        [item.where.replace(",", ", "), f"{item.kind}: {item.says}", _factor(item.all_to_all), _factor(item.all_reduce)]
        for item in findings[:most]
    ]
    click.echo()
    render.table(
        f"{len(findings)} irregular; times longer a job takes there",
        ["where", "what", "all-to-all", "all-reduce"],
        rows,
        left=2,
    )
    if len(findings) > most:
        click.echo(f"and {len(findings) - most} more that cost less: --all lists them")


def _factor(value: float | None) -> str:
    if value is None:
        return "-"
    return "cut off" if value == float("inf") else f"{value:.2f}"


def _finite(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else value
