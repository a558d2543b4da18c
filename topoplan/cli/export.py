"""``topoplan export``."""

from __future__ import annotations

import click

from topoplan.cli import render

EPILOG = """\b
Examples:
  topoplan export plan --launcher openmpi --out launch
  topoplan export plan --launcher torchrun"""


@click.command("export", epilog=EPILOG)
@click.argument("plan", metavar="PLAN")
@click.option("--launcher", required=True, metavar="NAME", help="Launcher, or format of an expert map.")
@click.option("--out", metavar="DIR", help="Folder for the files; PLAN/launch/NAME when PLAN is a folder.")
def command(plan: str, launcher: str, out: str | None) -> None:
    """Write the files of one launcher (or serving engine) for PLAN."""
    from pathlib import Path  # noqa: PLC0415 - help stays quick

    from topoplan.experts import FORMATS  # noqa: PLC0415
    from topoplan.files.atomic import write_file  # noqa: PLC0415
    from topoplan.launchers import get_launcher  # noqa: PLC0415
    from topoplan.planning.artefacts import expert_files, launch_files  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415

    opened = open_plan(plan)
    if launcher in FORMATS and opened.plan.experts is not None:
        folder = Path(out) if out else opened.path / "experts"
        for name, content in expert_files(opened.plan, opened.job, [launcher]).items():
            write_file(folder / name, content)
            click.echo(folder / name)
        return
    folder = Path(out) if out else opened.path / "launch" / launcher
    for name, file in launch_files(opened.plan, launcher, opened.job).items():
        write_file(folder / name, file.text)
        if file.executable:
            (folder / name).chmod(0o755)
        click.echo(folder / name)
    for hint in get_launcher(launcher).hints:
        render.note(hint)
