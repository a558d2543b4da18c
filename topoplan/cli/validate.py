"""``topoplan validate``."""

from __future__ import annotations

from pathlib import Path

import click

from topoplan.errors import InputError, TopoplanError

EPILOG = """\b
Examples:
  topoplan validate fabric.yaml job.yaml plan"""


@click.command("validate", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def command(files: tuple[str, ...]) -> None:
    """Check Fabric, Job, plan and foreign topology files; every file's first mistake is shown."""
    failed = 0
    for file in files:
        try:
            click.echo(f"{file}: {_describe(file)}")
        except TopoplanError as error:
            failed += 1
            click.echo(f"topoplan: error: {error}", err=True)
    if failed:
        raise InputError(f"{failed} of {len(files)} files are not valid")


def _describe(file: str) -> str:
    from topoplan.files.inputs import read_source  # noqa: PLC0415 - help stays quick
    from topoplan.planning.folder import is_plan, open_plan  # noqa: PLC0415
    from topoplan.planning.inputs import kind_of, open_fabric, open_job  # noqa: PLC0415

    if is_plan(Path(file)):
        plan = open_plan(file).plan
        return f"plan of {plan.job}: valid"
    if Path(file).is_file() and kind_of(read_source(file).content[:65536].decode("utf-8", "replace")) == "Job":
        job = open_job(file).job
        return f"job {job.name}, {job.ranks} ranks: valid"
    found = open_fabric(file)
    return f"fabric {found.fabric.name} ({found.format}), {len(found.fabric.hosts)} hosts: valid"
