"""``topoplan export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topoplan.cli import render

if TYPE_CHECKING:
    from pathlib import Path

    from topoplan.planning.folder import PlanFolder

EPILOG = """\b
Examples:
  topoplan export plan --launcher openmpi --out launch
  topoplan export plan --launcher torchrun
  topoplan export plan --launcher trtllm"""


@click.command("export", epilog=EPILOG)
@click.argument("plan", metavar="PLAN")
@click.option("--launcher", required=True, metavar="NAME", help="Launcher, or format of an expert map.")
@click.option("--out", metavar="DIR", help="Folder for the files; PLAN/launch/NAME when PLAN is a folder.")
def command(plan: str, launcher: str, out: str | None) -> None:
    """Write the files of one launcher (or serving engine) for PLAN."""
    from pathlib import Path  # noqa: PLC0415 - help stays quick

    from topoplan.experts import FORMATS, RANK_COSTS  # noqa: PLC0415
    from topoplan.files.atomic import write_file  # noqa: PLC0415
    from topoplan.launchers import LAUNCHERS, get_launcher  # noqa: PLC0415
    from topoplan.names import pick  # noqa: PLC0415
    from topoplan.planning.artefacts import launch_files  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415

    opened = open_plan(plan)
    if launcher in (*FORMATS, RANK_COSTS) and opened.plan.experts is not None:
        _export_map(opened, launcher, Path(out) if out else opened.path / "experts")
        return
    if opened.plan.experts is not None:
        pick("launcher or engine", launcher, {**LAUNCHERS, **FORMATS, RANK_COSTS: None})
    folder = Path(out) if out else opened.path / "launch" / launcher
    for name, file in launch_files(opened.plan, launcher, opened.job).items():
        write_file(folder / name, file.text)
        if file.executable:
            (folder / name).chmod(0o755)
        click.echo(folder / name)
    for hint in get_launcher(launcher).hints:
        render.note(hint)


def _export_map(opened: PlanFolder, name: str, folder: Path) -> None:
    """Write an expert map, numbered as the job or the plan folder says."""
    from topoplan.cli.expert_files import map_files  # noqa: PLC0415 - help stays quick
    from topoplan.files.atomic import write_file  # noqa: PLC0415
    from topoplan.planning.expert_inputs import LayerNumbers  # noqa: PLC0415
    from topoplan.planning.expert_record import read_numbers  # noqa: PLC0415

    job = opened.job
    numbers = read_numbers(opened.path)
    if job is not None and job.experts is not None:
        numbers = LayerNumbers(job.experts.moe_layers, job.model.layers if job.model is not None else 0)
    maps = map_files(opened.plan, [name], numbers)
    for file, content in maps.content.items():
        write_file(folder / file, content)
        click.echo(folder / file)
    maps.say()
