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
  topoplan export plan --probe && plan/launch/openmpi/run.sh plan/launch/probe/topoplan-probe > seen.jsonl
  topoplan verify plan --observed seen.jsonl
  topoplan verify plan --observed ranks.txt --launcher openmpi

Exit code 6 says that something differs."""


@click.command("verify", epilog=EPILOG)
@click.argument("plan", metavar="PLAN")
@click.option("--observed", metavar="FILE", help="What a run reported, not the launch files; - for stdin.")
@click.option("--launcher", metavar="NAME", help="What made the observed order, where the probe did not tell.")
def command(plan: str, observed: str | None, launcher: str | None) -> None:
    """Check that launch files or an observed run put every rank where PLAN says, and that maps hold its experts."""
    from topoplan.planning.expert_verify import verify_maps  # noqa: PLC0415 - help stays quick
    from topoplan.planning.folder import open_plan, verify_launch_files  # noqa: PLC0415

    opened = open_plan(plan)
    maps = verify_maps(opened) if observed is None and launcher is None else {}
    if observed is not None:
        results = {observed: _observed(opened, observed, launcher)}
    else:
        results = {} if maps and not (opened.path / "launch").is_dir() else verify_launch_files(opened)
        if launcher is not None:
            if launcher not in results:
                raise InputError(f"{plan} has no launch files of {launcher}")
            results = {launcher: results[launcher]}
    bad = {name: found for name, found in results.items() if found}
    for name in sorted(set(results) - set(bad)):
        click.echo(f"{name}: every rank where the plan says")
    for name, found in bad.items():
        _show(f"{name}: {len(found)} ranks differ", list(map(str, found)))
    for name, lines in maps.items():
        if lines:
            _show(f"{name}: differs from the plan", lines)
        else:
            click.echo(f"{name}: every expert where the plan says")
    wrong = len(bad) + sum(map(bool, maps.values()))
    if wrong:
        raise VerificationError(f"{wrong} of {len(results) + len(maps)} orders or maps differ from the plan")


def _observed(opened: PlanFolder, file: str, launcher: str | None) -> list[Difference]:
    from topoplan.files.inputs import read_source  # noqa: PLC0415
    from topoplan.launchers import LAUNCHERS, compare_reports, get_launcher, nic_warnings, read_observed  # noqa: PLC0415

    if opened.plan.placement is None:
        raise InputError("this plan places experts only: there are no ranks to verify")
    chosen = get_launcher(launcher) if launcher else None
    source = read_source(file, limit=2**30)
    reports = read_observed(source.text)
    found = compare_reports(opened.plan.placement, reports, chosen or LAUNCHERS.get(reports.launcher))
    if not found:
        render.notes("warning", nic_warnings(opened.plan.placement, reports))
    return found


def _show(title: str, found: list[str]) -> None:
    click.echo(title)
    for line in found[:SHOWN]:
        click.echo(f"  {line}")
    if len(found) > SHOWN:
        render.note(f"  and {len(found) - SHOWN} more")
