"""``topoplan solve``."""

from __future__ import annotations

import os
import shlex
import sys

import click

from topoplan.cli import options, render
from topoplan.cli.plans import report_html, show_plan
from topoplan.cli.watch import SearchWatch

EPILOG = """\b
Examples:
  topoplan solve job.yaml --topology fabric.yaml
  topoplan solve job.yaml --topology ibnetdiscover.out --host-type gb200-tray --out plan
  topoplan solve job.yaml -t fabric.yaml --hosts "node-[1-16,20-35]" --out plan
  scontrol show hostnames | topoplan solve job.yaml -t topology.conf --hosts - --out plan

Inside a Slurm job --hosts is the job's own node list. Every run with the same
inputs and seed writes the same plan.json; --time-limit and Ctrl-C, which keep
the best plan so far, are the exceptions and are noted in run.json."""


@click.command("solve", epilog=EPILOG)
@click.argument("job", metavar="JOB")
@options.topology
@click.option("--hosts", metavar="LIST", help='Hosts to plan within: "node-[1-16]", or - to read them from stdin.')
@click.option("--out", metavar="DIR", help="Write plan.json, inputs, launch files and report there.")
@click.option("--launcher", "launchers", multiple=True, metavar="NAME", help="Write launch files for it; repeatable.")
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
def command(
    job: str,
    topology: str,
    host_type: str | None,
    format_name: str | None,
    hosts: str | None,
    out: str | None,
    launchers: tuple[str, ...],
    formats: tuple[str, ...],
    objective: str,
    time_limit: float | None,
    seed: int,
    no_report: bool,
    output: str,
) -> None:
    """Plan JOB on a fabric: choose hosts, order ranks, place experts, write what launchers need.

    JOB is a Job file (topoplan schema job), or - for stdin.
    """
    from topoplan.launchers import DEFAULT_LAUNCHERS, capability  # noqa: PLC0415 - help stays quick
    from topoplan.planning.artefacts import plan_artefacts  # noqa: PLC0415
    from topoplan.planning.folder import save  # noqa: PLC0415
    from topoplan.planning.inputs import host_list, open_fabric, open_job  # noqa: PLC0415
    from topoplan.planning.solve import SolveOptions, solve  # noqa: PLC0415
    from topoplan.solvers.ranks import RankParams  # noqa: PLC0415

    names = launchers or DEFAULT_LAUNCHERS
    able = capability(names)
    read = open_job(job)
    fabric = open_fabric(topology, host_type=host_type, format=format_name)
    within = host_list(hosts, os.environ)
    with SearchWatch(time_limit) as watch:
        wanted = SolveOptions(
            hosts=within,
            objective=objective,
            params=RankParams(seed=seed),
            capability=able,
            inputs={"fabric": fabric.file, **read.inputs},
        )
        plan = solve(read.job, fabric.fabric, wanted, watch)
    render.notes("warning", plan.warnings)
    if watch.stopped:
        render.note(f"stopped by {watch.reason}: this is the best plan so far")
    if out:
        shown = shlex.join(["topoplan", *sys.argv[1:]])
        contents = plan_artefacts(plan, read.job, names, formats or ("sglang",), within)
        if not no_report:
            contents.files["report.html"] = report_html(plan, read.job, shown, within)
        run = {"elapsed_s": round(watch.elapsed_s, 3), "stopped_by": watch.reason, "time_limit_s": time_limit}
        save(out, contents, {"command": shown, **run})
        render.note(f"wrote {out}/")
    show_plan(plan, output)
