"""``topoplan sweep``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topoplan.cli import options, render
from topoplan.errors import InputError, SolverMissingError

if TYPE_CHECKING:
    from topoplan.studies.answers import Answer
    from topoplan.studies.fronts import Front
    from topoplan.studies.model import Study
    from topoplan.studies.outcome import Outcome
    from topoplan.studies.sweep import Progress
    from topoplan.studies.table import Table

EPILOG = """\b
Examples:
  topoplan sweep --list
  topoplan sweep host-order --topology fabric.yaml --job job.yaml --out order
  topoplan sweep study.yaml --out results --workers 8
  topoplan sweep study.yaml --out results --shard $SLURM_ARRAY_TASK_ID/16
  topoplan sweep study.yaml --out results --merge

A sweep that was stopped goes on where it was when the same command is run again. Shards may
share a folder or have their own (--merge --from DIR names the others). STUDY is a Study file
(topoplan schema study), - for stdin, or the name of a bundled study."""

_SHOWN = 40  # rows of an answer's table on the terminal; the files have all
_STEPS = 10  # lines of progress where there is no terminal
_WRONG = 6  # reasons shown


class Shard(click.ParamType[tuple[int, int]]):
    """i/n with 1 <= i <= n."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(i, n)."""
        if isinstance(value, tuple):
            return value
        i, slash, n = str(value).partition("/")
        if not (slash and i.isdecimal() and n.isdecimal() and len(i + n) < 12 and 1 <= int(i) <= int(n)):
            self.fail(f"{value!r} is not i/n with i from 1 to n, such as 3/16", param, ctx)
        return int(i), int(n)


@click.command("sweep", epilog=EPILOG)
@click.argument("study", required=False, metavar="STUDY")
@click.option("--list", "listed", is_flag=True, help="List the bundled studies.")
@click.option("--out", metavar="DIR", help="Folder of the journal, the table and the report.")
@click.option("--topology", "-t", "topologies", multiple=True, metavar="FABRIC", help="Ask of this fabric instead.")
@click.option("--host-type", metavar="NAME", help="What the hosts of a foreign FABRIC are (topoplan catalog).")
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Ask of this job instead.")
@click.option(
    "--executor",
    "runner",
    type=click.Choice(["local", "ray", "dask"]),
    default="local",
    show_default=True,
    help="Who runs the scenarios; the table is the same.",
)
@click.option("--workers", type=click.IntRange(1, 4096), metavar="N", help="Processes; all processors by default.")
@click.option("--shard", type=Shard(), default="1/1", help="Run the i-th of n parts only.")
@click.option("--merge", is_flag=True, help="Run nothing: make table and report of what the shards have run.")
@click.option("--from", "others", multiple=True, metavar="DIR", help="With --merge: further folders of shards.")
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@click.option("--pdf", is_flag=True, help="Write the report as report.pdf too (needs topoplan[pdf]).")
@options.output
def command(study: str | None, listed: bool, out: str | None, output: str, **asked: Any) -> None:
    """Price a grid of fabrics, jobs, orders and failures, and say what it shows.

    Writes results.csv (and results.parquet where pyarrow is installed) and report.html, with --pdf report.pdf too.
    """
    if listed or study is None:
        _list(output)
        return
    from topoplan.studies.bundled import open_study  # noqa: PLC0415 - help stays quick
    from topoplan.studies.grid import scenarios  # noqa: PLC0415
    from topoplan.studies.read import Instead  # noqa: PLC0415
    from topoplan.studies.sweep import merged, run  # noqa: PLC0415
    from topoplan.studies.table import table  # noqa: PLC0415

    _check(out, asked)
    assert out is not None
    opened = open_study(study, Instead(asked["topologies"], asked["jobs"], asked["host_type"]))
    grid = scenarios(opened)
    if asked["merge"]:
        found = merged(grid, [out, *asked["others"]])
    else:
        with _progress(opened.name) as tell:
            found = run(grid, out, runner=asked["runner"], workers=asked["workers"], shard=asked["shard"], tell=tell)
    if asked["shard"][1] > 1:
        i, n = asked["shard"]
        render.note(f"shard {i} of {n}: {len(found)} scenarios are in {out}/; --merge makes the table when all are run")
        return
    content = table(grid, found)
    said = _answer(opened, content)
    _write(out, opened, content, said, report=not asked["no_report"], pdf=asked["pdf"])
    _show(opened, content, said, output)


def _check(out: str | None, asked: dict[str, Any]) -> None:
    """Refuse options that do not go together, and a folder that is not a sweep's."""
    if out is None:
        raise InputError("--out is missing", hint="name a folder for the results: --out DIR")
    if asked["merge"] and asked["shard"][1] > 1:
        raise InputError("--merge makes one table of all shards", hint="leave --shard out")
    if asked["others"] and not asked["merge"]:
        raise InputError("--from names folders of shards to merge", hint="add --merge")
    if asked["pdf"] and (asked["no_report"] or asked["shard"][1] > 1):
        raise InputError("--pdf prints the report, of which there is none here", hint="leave --pdf out")
    if asked["pdf"]:
        from topoplan.reports.pdf import printer  # noqa: PLC0415 - help stays quick

        printer()  # better told before the sweep than after
    if asked["host_type"] and not asked["topologies"]:
        raise InputError(
            "--host-type says what the hosts of --topology are", hint="a Study says it beside its topology"
        )
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{out} is a file; a folder is needed")
    if folder.is_dir() and any(folder.iterdir()) and not any(folder.glob("journal*.jsonl")) and not asked["merge"]:
        raise InputError(
            f"{out} is not empty and holds no journal of a sweep", hint="name a new folder, or empty this one"
        )


def _list(output: str) -> None:
    from topoplan.studies.bundled import names, open_study  # noqa: PLC0415 - help stays quick
    from topoplan.studies.grid import scenarios  # noqa: PLC0415

    studies = [(name, open_study(name)) for name in names()]
    records = [{"name": name, "about": s.about, "scenarios": len(scenarios(s))} for name, s in studies]
    if output != "table":
        render.document({"studies": records}, output)
        return
    click.echo("Bundled studies (topoplan sweep NAME --out DIR; --topology and --job ask of yours):")
    for record in records:
        click.echo(f"  {record['name']}: {record['about']} ({record['scenarios']} scenarios)")


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """What tells how far a sweep is: a bar on a terminal, else a line now and then."""

    def plain(done: int, total: int, last: Outcome | None) -> None:
        if last is None:
            render.note(f"{done} of {total} scenarios are in the journal already" if done else f"{total} scenarios")
        elif done < total and done * _STEPS // total > (done - 1) * _STEPS // total:
            render.note(f"{done} of {total}")

    if not sys.stderr.isatty():
        yield plain
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name.replace("[", "\\["), total=None)
        yield lambda done, total, last: bar.update(task, completed=done, total=total)


def _answer(study: Study, content: Table) -> Answer | None:
    from topoplan.studies.answers import answer  # noqa: PLC0415 - help stays quick

    return answer(study.question, content, study.tolerance) if study.question else None


def _write(out: str, study: Study, content: Table, said: Answer | None, *, report: bool, pdf: bool) -> None:
    """Write table and report, all or nothing."""
    from topoplan.files.atomic import write_file  # noqa: PLC0415 - help stays quick
    from topoplan.studies.table import to_csv, to_parquet  # noqa: PLC0415

    files: dict[str, str | bytes] = {"results.csv": to_csv(content)}
    try:
        files["results.parquet"] = to_parquet(content)
    except SolverMissingError as error:
        render.note(f"no results.parquet: {error.message} ({error.hint})")
    if report:
        from topoplan.reports.study_html import render_study  # noqa: PLC0415

        files["report.html"] = page = render_study(study, content, said, shlex.join(["topoplan", *sys.argv[1:]]))
        if pdf:
            from topoplan.reports.pdf import render_pdf  # noqa: PLC0415

            files["report.pdf"] = render_pdf(page)
    for name, text in files.items():
        write_file(Path(out) / name, text)
    render.note(f"wrote {', '.join(files)} in {out}/")


def _show(study: Study, content: Table, said: Answer | None, output: str) -> None:
    from topoplan.studies.fronts import fronts  # noqa: PLC0415 - help stays quick

    found = fronts(content)
    if output != "table":
        render.document(_record(study, content, said, found), output)
        return
    click.echo(f"{study.name}: {study.about}" if study.about else study.name)
    if said is not None:
        for sentence in said.sentences:
            click.echo(sentence)
        if said.rows:
            click.echo()
            render.table("", said.columns, said.rows[:_SHOWN], left=2)
        if len(said.rows) > _SHOWN:
            click.echo(f"and {len(said.rows) - _SHOWN} more rows, in the report")
    from topoplan.studies.summary import advice, reasons, totals  # noqa: PLC0415

    for line in [*(advice(front) for front in found), totals(content)]:
        click.echo(line)
    render.notes("not priced", reasons(content), _WRONG)


def _record(study: Study, content: Table, said: Answer | None, found: tuple[Front, ...]) -> dict[str, Any]:
    from topoplan.studies.summary import advice, reasons  # noqa: PLC0415 - help stays quick

    return {
        "study": study.name,
        "scenarios": len(content.rows),
        "priced": sum(row.outcome.ok for row in content.rows),
        "question": study.question,
        "answer": list(said.sentences) if said else [],
        "table": [dict(zip(said.columns, row, strict=True)) for row in said.rows] if said else [],
        "advice": [advice(front) for front in found],
        "not_priced": list(reasons(content)),
    }
