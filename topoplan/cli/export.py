"""``topoplan export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topoplan.cli import options, render
from topoplan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from topoplan.launchers import LaunchFile
    from topoplan.planning.folder import PlanFolder

EPILOG = """\b
Examples:
  topoplan export plan --launcher openmpi --out launch
  topoplan export plan --launcher torchrun --set program="python train.py" --set master_port=29501
  topoplan export plan --launcher trtllm
  topoplan export plan --probe"""


class ExportCommand(click.Command):
    """Command whose help lists the launchers, what each can make, and the keys of --set."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lists, then the examples."""
        from topoplan.launchers import LAUNCHERS, SETTINGS  # noqa: PLC0415 - for help of this command alone

        with formatter.section("Launchers, and the plans that each can make (--set keys)"):
            rows = ((item, f"{item.expresses} ({', '.join(item.settings) or 'none'})") for item in LAUNCHERS.values())
            formatter.write_dl([(item.name, text) for item, text in rows])
        with formatter.section("Keys of --set"):
            formatter.write_dl([(key, setting.what) for key, setting in SETTINGS.items()])
        super().format_epilog(ctx, formatter)


@click.command("export", cls=ExportCommand, epilog=EPILOG)
@click.argument("plan", metavar="PLAN")
@click.option("--launcher", metavar="NAME", help="Launcher, or format of an expert map.")
@click.option("--probe", is_flag=True, help="Write the probe: started in place of the program, it says who runs where.")
@options.settings
@click.option("--out", metavar="DIR", help="Folder for the files; PLAN/launch/NAME when PLAN is a folder.")
def command(plan: str, launcher: str | None, probe: bool, settings: tuple[str, ...], out: str | None) -> None:
    """Write the files of one launcher (or serving engine) for PLAN."""
    from pathlib import Path  # noqa: PLC0415 - help stays quick

    from topoplan.experts import FORMATS, RANK_COSTS  # noqa: PLC0415
    from topoplan.launchers import LAUNCHERS, get_launcher  # noqa: PLC0415
    from topoplan.launchers.probe import HINTS as PROBE_HINTS  # noqa: PLC0415
    from topoplan.launchers.probe import probe_files  # noqa: PLC0415
    from topoplan.names import pick  # noqa: PLC0415
    from topoplan.planning.artefacts import launch_files  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415

    opened = open_plan(plan)
    if launcher is None and not probe:
        raise InputError("nothing to write", hint="--launcher NAME or --probe")
    if probe:
        _write_files(Path(out) if out else opened.path / "launch" / "probe", probe_files(), PROBE_HINTS)
    if launcher is None:
        return
    if launcher in (*FORMATS, RANK_COSTS) and opened.plan.experts is not None:
        if settings:
            raise InputError("--set is for launch files, not for expert maps")
        _export_map(opened, launcher, Path(out) if out else opened.path / "experts")
        return
    if opened.plan.experts is not None:
        pick("launcher or engine", launcher, {**LAUNCHERS, **FORMATS, RANK_COSTS: None})
    folder = Path(out) if out else opened.path / "launch" / launcher
    _write_files(folder, launch_files(opened.plan, launcher, opened.job, settings), get_launcher(launcher).hints)


def _write_files(folder: Path, files: Mapping[str, LaunchFile], hints: Iterable[str]) -> None:
    """Write files into a folder, and say how they are used."""
    from topoplan.files.atomic import write_file  # noqa: PLC0415 - help stays quick

    for name, file in files.items():
        write_file(folder / name, file.text)
        if file.executable:
            (folder / name).chmod(0o755)
        click.echo(folder / name)
    for hint in hints:
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
