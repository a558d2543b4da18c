"""``topoplan solve``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import links, options, render
from topoplan.cli.moves import MOVE_COLUMNS, move_records, move_rows
from topoplan.cli.plans import report_html, show_plan
from topoplan.cli.watch import SearchWatch

if TYPE_CHECKING:
    from topoplan.files.job_yaml import ReadJob
    from topoplan.model.job import Job
    from topoplan.model.plan import Plan
    from topoplan.planning.replan import Step
    from topoplan.solvers.ranks import RankParams

EPILOG = """\b
Examples:
  topoplan solve job.yaml --topology fabric.yaml
  topoplan solve job.yaml --topology ibnetdiscover.out --host-type gb200-tray --out plan
  topoplan solve job.yaml -t fabric.yaml --hosts "node-[1-16,20-35]" --out plan
  scontrol show hostnames | topoplan solve job.yaml -t topology.conf --hosts - --out plan
  topoplan solve job.yaml -t fabric.yaml --require pod --spares 2 --out plan
  topoplan solve job.yaml -t fabric-today.yaml --previous plan --out plan-2
  topoplan solve job.yaml -t fabric-today.yaml --previous plan --max-loss 0.5%
  topoplan solve big.yaml small.yaml -t fabric.yaml --out plans

Inside a Slurm job --hosts is the job's own node list. Every run with the same
inputs and seed writes the same plan.json; --time-limit and Ctrl-C, which keep
the best plan so far, are the exceptions and are noted in run.json."""


@click.command("solve", epilog=EPILOG)
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@options.topology
@click.option("--hosts", metavar="LIST", help='Hosts to plan within: "node-[1-16]", or - to read them from stdin.')
@click.option("--require", metavar="TIER", default="", help="Keep all ranks in one group: leaf, pod, island ...")
@click.option("--spares", metavar="N", type=click.IntRange(0), default=0, help="Set N free hosts near the job aside.")
@click.option("--reserve", metavar="LIST", default="", help="Hosts never to use.")
@click.option("--avoid", metavar="LIST", default="", help="Hosts to use only where the others do not suffice.")
@click.option("--previous", metavar="PLAN", help="Keep this plan; move only ranks whose hosts are lost or avoided.")
@click.option("--max-moves", metavar="M|M%", default="", help="With --previous: most ranks that may change their GPU.")
@click.option("--max-loss", metavar="P%", default="", help="With --previous: fewest moves within P% of the best plan.")
@click.option("--ignore-memory", is_flag=True, help="Plan a job that does not fit into its GPUs' memory all the same.")
@click.option("--exact", is_flag=True, help="Prove the fewest hop-bytes (up to 128 hosts, about a minute).")
@click.option("--exact-solver", metavar="NAME", default="", help="Prove with an ILP solver of PuLP: HiGHS, GUROBI ...")
@click.option("--out", metavar="DIR", help="Write plan.json, inputs, launch files and report there.")
@click.option("--launcher", "launchers", multiple=True, metavar="NAME", help="Write launch files for it; repeatable.")
@options.settings
@click.option(
    "--expert-format", "formats", multiple=True, metavar="NAME", help="Write the expert map for it; repeatable."
)
@click.option(
    "--objective",
    type=click.Choice(["exposed_ms", "busiest_uplink", "hop_bytes"]),
    default="exposed_ms",
    show_default=True,
    help="What to make small; the others break ties.",
)
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop after S seconds.")
@options.seed
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@options.output
def command(jobs: tuple[str, ...], out: str | None, time_limit: float | None, output: str, **asked: Any) -> None:
    """Plan JOB on a fabric: choose hosts, order ranks, place experts, write what launchers need.

    JOB is a Job file (topoplan schema job), or - for stdin. Several jobs get hosts of their own, and a folder each in
    DIR, named as the job.
    """
    from topoplan.launchers import DEFAULT_LAUNCHERS, parse_settings, settings_of  # noqa: PLC0415 - help stays quick
    from topoplan.planning.folder import check_target  # noqa: PLC0415
    from topoplan.planning.inputs import open_job  # noqa: PLC0415

    reads = [open_job(job) for job in jobs]
    folders = _folders(out, [read.job.name for read in reads])
    names = asked["launchers"] or DEFAULT_LAUNCHERS
    parse_settings(asked["settings"], settings_of(names))  # before the work, not after it
    for folder in filter(None, folders):
        check_target(folder, ranks=True)
    with SearchWatch(time_limit, asked["objective"]) as watch:
        plans, within, steps = _plan(reads, asked, names, watch)
    if watch.stopped:
        render.note(f"stopped by {watch.reason}: this is the best plan so far")
    shown = shlex.join(["topoplan", *sys.argv[1:]])
    run = {"elapsed_s": round(watch.elapsed_s, 3), "stopped_by": watch.reason, "time_limit_s": time_limit}
    for plan, read, folder in zip(plans, reads, folders, strict=True):
        render.notes("warning", plan.warnings)
        if folder:
            _write(folder, plan, read.job, names, within, {"command": shown, **run}, asked, steps)
    if len(plans) > 1 and output != "table":
        from topoplan.files.plan_json import plan_record  # noqa: PLC0415

        render.document([plan_record(plan) for plan in plans], output)
        return
    for plan, read in zip(plans, reads, strict=True):
        show_plan(plan, output)
        if output == "table":
            links.brief(read.job, plan.placement, within)
    if steps and output == "table":
        click.echo()
        render.table("moves against price", MOVE_COLUMNS, move_rows(steps))


def _folders(out: str | None, names: list[str]) -> list[str]:
    """Folder of each job's plan, "" for none."""
    from topoplan.errors import InputError  # noqa: PLC0415

    if len(set(names)) < len(names):
        raise InputError("two jobs have the same name", hint="plans are written to folders named as the jobs")
    if out is None:
        return [""] * len(names)
    if len(names) == 1:
        return [out]
    bad = [name for name in names if Path(name).name != name or name in {".", ".."}]
    if bad:
        raise InputError(f"job name {bad[0]!r} is no folder name")
    return [str(Path(out) / name) for name in names]


def _plan(
    reads: Sequence[ReadJob], asked: Mapping[str, Any], names: Sequence[str], watch: SearchWatch
) -> tuple[list[Plan], tuple[str, ...] | None, tuple[Step, ...]]:
    """Plans of all jobs, the hosts of the allocation, and what moves buy where a plan in force is changed."""
    from topoplan.errors import InputError  # noqa: PLC0415
    from topoplan.launchers import capability  # noqa: PLC0415
    from topoplan.planning.folder import open_plan  # noqa: PLC0415
    from topoplan.planning.hosts import host_names_of  # noqa: PLC0415
    from topoplan.planning.inputs import host_list, open_fabric  # noqa: PLC0415
    from topoplan.planning.many import solve_many  # noqa: PLC0415
    from topoplan.planning.replan import MoveLimit, parse_count, parse_share, revise  # noqa: PLC0415
    from topoplan.planning.solve import SolveOptions  # noqa: PLC0415

    fabric = open_fabric(asked["topology"], host_type=asked["host_type"], format=asked["format_name"])
    within = host_list(asked["hosts"], os.environ)
    wanted = SolveOptions(
        hosts=within,
        require=asked["require"],
        spares=asked["spares"],
        reserve=host_names_of(asked["reserve"], "--reserve"),
        avoid=host_names_of(asked["avoid"], "--avoid"),
        objective=asked["objective"],
        params=_params(asked, watch),
        capability=capability(names),
        ignore_memory=asked["ignore_memory"],
    )
    each = [replace(wanted, inputs={"fabric": fabric.file, **read.inputs}) for read in reads]
    if not asked["previous"]:
        if asked["max_moves"] or asked["max_loss"]:
            raise InputError("--max-moves and --max-loss say how far a plan in force may change", hint="add --previous")
        return solve_many([read.job for read in reads], fabric.fabric, each, watch), within, ()
    if len(reads) > 1:
        raise InputError("--previous is for one job", hint="plan each job with its own previous plan")
    job, limit = reads[0].job, None
    if asked["max_moves"] or asked["max_loss"]:
        limit = MoveLimit(
            parse_count(asked["max_moves"], job.ranks, "--max-moves") if asked["max_moves"] else None,
            parse_share(asked["max_loss"], "--max-loss") if asked["max_loss"] else None,
        )
    done = revise(job, fabric.fabric, open_plan(asked["previous"]).plan, each[0], limit, watch)
    return [done.plan], within, done.curve


def _params(asked: Mapping[str, Any], watch: SearchWatch) -> RankParams:
    from topoplan.solvers.ranks import PROOF, ExactParams, RankParams  # noqa: PLC0415

    proof = PROOF if asked["exact"] or asked["exact_solver"] else ExactParams()
    exact = replace(proof, solver=asked["exact_solver"], seed=asked["seed"], deadline=watch.deadline)
    return RankParams(seed=asked["seed"], exact=exact)


def _write(
    folder: str,
    plan: Plan,
    job: Job,
    names: Sequence[str],
    within: tuple[str, ...] | None,
    run: Mapping[str, Any],
    asked: Mapping[str, Any],
    steps: Sequence[Step] = (),
) -> None:
    """Write a plan folder."""
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415

    contents = plan_artefacts(plan, job, names, asked["formats"] or ("sglang",), within, asked["settings"])
    if steps:
        contents.files["moves.json"] = json.dumps(move_records(steps), indent=1) + "\n"
    if not asked["no_report"]:
        contents.files["report.html"] = report_html(plan, job, str(run["command"]), within)
    save(folder, contents, run)
    render.note(f"wrote {folder}/")
