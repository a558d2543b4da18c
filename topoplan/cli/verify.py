"""``topoplan verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topoplan.cli import render
from topoplan.errors import InputError, VerificationError

if TYPE_CHECKING:
    from topoplan.launchers import Difference
    from topoplan.planning.folder import PlanFolder

SHOWN = 5

EPILOG = """\b
Examples:
  topoplan verify plan
  topoplan verify plan --observed ranks.txt --launcher openmpi

Exit code 6 says that something differs."""


@click.command("verify", epilog=EPILOG)
@click.argument("plan", metavar="PLAN")
@click.option("--observed", metavar="FILE", help="What a run reported, not the launch files; - for stdin.")
@click.option("--launcher", metavar="NAME", help="What made the observed order, so that a difference can be explained.")
def command(plan: str, observed: str | None, launcher: str | None) -> None:
    """Check rank by rank that launch files, or an observed run, put every rank where PLAN says."""
    from topoplan.planning.folder import open_plan, verify_launch_files  # noqa: PLC0415 - help stays quick

    opened = open_plan(plan)
    if observed is None:
        results = verify_launch_files(opened)
        if launcher is not None:
            if launcher not in results:
                raise InputError(f"{plan} has no launch files of {launcher}")
            results = {launcher: results[launcher]}
    else:
        results = {observed: _observed(opened, observed, launcher)}
    bad = {name: found for name, found in results.items() if found}
    for name in sorted(set(results) - set(bad)):
        click.echo(f"{name}: every rank where the plan says")
    for name, found in bad.items():
        _show(name, found)
    if bad:
        raise VerificationError(f"{len(bad)} of {len(results)} orders differ from the plan")


def _observed(opened: PlanFolder, file: str, launcher: str | None) -> list[Difference]:
    from topoplan.files.inputs import read_source  # noqa: PLC0415
    from topoplan.launchers import compare, get_launcher, parse_observed  # noqa: PLC0415

    if opened.plan.placement is None:
        raise InputError("this plan places experts only: there are no ranks to verify")
    source = read_source(file, limit=2**30)
    seats = parse_observed(source.text)
    return compare(opened.plan.placement, seats, get_launcher(launcher) if launcher else None)


def _show(name: str, found: list[Difference]) -> None:
    click.echo(f"{name}: {len(found)} ranks differ")
    for difference in found[:SHOWN]:
        click.echo(f"  {difference}")
    if len(found) > SHOWN:
        render.note(f"  and {len(found) - SHOWN} more")
