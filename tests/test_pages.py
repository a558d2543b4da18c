"""The README and docs: every link leads somewhere, every command and file shown is understood, counts are counted."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import topoplan
from tests.pages import DOCS, PAGES, README, ROOT, blocks, part, section
from topoplan.cli import COMMANDS, cli
from topoplan.files.prices_yaml import read_prices
from topoplan.launchers import LAUNCHERS
from topoplan.studies.answers import RULES
from topoplan.studies.read import read_study
from topoplan.topologies import catalog
from topoplan.topologies.formats import READERS

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ALL = {page: page.read_text() for page in PAGES}


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> list[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_anchors_resolve(page: Path) -> None:
    for link in LINK.findall(prose(ALL[page])):
        path, _, anchor = link.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_headings_of_a_page_differ() -> None:
    for page in PAGES:
        assert len(set(anchors(page))) == len(anchors(page)), page.name


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(README.parent / link.partition("#")[0]).resolve() for link in LINK.findall(ALL[README])}
    assert set(DOCS.glob("*.md")) <= linked


# ---- commands ------------------------------------------------------------------------------------------------------


def shown() -> list[str]:
    """Commands of topoplan in blocks of shell, and those in text that are whole."""
    found = []
    for text in ALL.values():
        for block in blocks(text, "sh"):
            found += re.findall(r"(?:^|\| |&& )(?:\.venv/bin/)?topoplan [^#|>\n]*", block, re.MULTILINE)
        found += re.findall(r"`(topoplan [a-z]+[^`]*)`", prose(text))
    return sorted({line[line.index("topoplan ") :].strip() for line in found})


@pytest.mark.parametrize("line", shown())
def test_commands_shown_are_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    if name == "COMMAND":
        return
    module, _ = COMMANDS[name]
    command: click.Command = import_module(module).command
    command.make_parser(click.Context(command)).parse_args(words)


def test_every_command_is_in_the_readme() -> None:
    told = section(README, "Commands and exit codes")
    assert [name for name in COMMANDS if f"`{name}`" not in told] == []


def test_modules_shown_can_be_run() -> None:
    names = {name for text in ALL.values() for name in re.findall(r"python -m (tests[\w.]+)", text)}
    assert names
    for name in names:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


EXAMPLES = ROOT / "topoplan" / "examples"


def asked(*words: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def drawn(svg: Path) -> list[str]:
    """Words and colours of a picture; where they stand to the last digit is up to the release of matplotlib."""
    return re.findall(r"(?:fill|stroke): (#\w+)|>([^<>]+)</", svg.read_text())


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What solve prints of the bundled example, and the plan's folder."""
    folder = tmp_path_factory.mktemp("example") / "plan"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SLURM_JOB_NODELIST", raising=False)
        job, fabric = str(EXAMPLES / "job.yaml"), str(EXAMPLES / "fabric.yaml")
        return asked("solve", job, "--topology", fabric, "--no-report", "--out", str(folder)), folder


def test_the_readme_shows_what_solve_prints(example: tuple[str, Path]) -> None:
    lines = [line.rstrip() for line in example[0].strip().splitlines()]
    assert part(README, "solve") == "\n".join(["```text", *lines, "```"]) + "\n"


def test_the_readme_shows_what_show_draws(example: tuple[str, Path], tmp_path: Path) -> None:
    asked("show", str(example[1]), "--svg", str(tmp_path / "plan.svg"))
    assert drawn(EXAMPLES / "plan.svg") == drawn(tmp_path / "plan.svg")


@pytest.mark.slow
def test_docs_show_what_the_report_draws(example: tuple[str, Path], tmp_path: Path) -> None:
    asked("report", str(example[1]), "--figures", str(tmp_path))
    assert drawn(EXAMPLES / "what-if.svg") == drawn(tmp_path / "changes.svg")


@pytest.mark.slow
@pytest.mark.parametrize("study", sorted(RULES))
def test_answers_quoted_are_the_studies(study: str, tmp_path: Path) -> None:
    rows = section(README, "Questions with an answer")
    (row,) = re.findall(rf"^\| [^|]+ \| `{study}` \| (.*) \|$", rows, re.MULTILINE)
    told = asked("sweep", study, "--no-report", "--out", str(tmp_path))
    figures = re.findall(r"\d+\.\d+|\d+:1\b|\d+(?= ranks)", row)
    assert [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", told)] == []
    assert figures


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's fabric.yaml and job.yaml, which is the working directory."""
    for block in blocks(ALL[README], "yaml"):
        kind = re.findall(r"^kind: (\w+)$", block, re.MULTILINE)[0].lower()
        (tmp_path / f"{kind}.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_the_readme_plans_its_own_files(files: Path) -> None:
    (code,) = blocks(section(README, "On your own cluster"), "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["plan"].placement.ranks == 256
    assert "node-7" not in names["plan"].placement.host


def test_files_of_jobs_reports_and_studies_are_read(files: Path) -> None:
    model, layout, more = blocks(ALL[DOCS / "jobs.md"], "yaml")
    np.save("load.npy", np.random.default_rng(0).integers(1, 100, (24, 64)))
    for name, text in (("model", model), ("layout", layout)):
        (files / f"{name}.yaml").write_text(text)
    plan = topoplan.solve(topoplan.read_job("model.yaml"), topoplan.read_fabric("fabric.yaml"))
    assert plan.placement is not None
    assert plan.placement.ranks == 64
    assert plan.experts is not None
    assert [axis.name for axis in topoplan.read_job("layout.yaml").axes] == ["table", "dp"]
    (files / "more.yaml").write_text((files / "job.yaml").read_text() + more)
    assert topoplan.solve(topoplan.read_job("more.yaml"), topoplan.read_fabric("fabric.yaml")).step is not None
    (prices,) = blocks(ALL[DOCS / "report.md"], "yaml")
    (files / "prices.yaml").write_text(prices)
    assert read_prices("prices.yaml").currency == "USD"
    (study,) = blocks(ALL[DOCS / "studies.md"], "yaml")
    (files / "study.yaml").write_text(study)
    assert read_study("study.yaml", tuple(RULES)).name == "leaves"


def test_host_types_shown_are_read(files: Path) -> None:
    (types,) = blocks(ALL[DOCS / "fabrics.md"], "yaml")
    hosts = "hosts:\n  - {names: [a, b], type: odd}\n  - {names: c, type: mig}\n"
    (files / "odd.yaml").write_text("apiVersion: topoplan/v1\nkind: Fabric\nname: odd\n" + types + hosts)
    assert len(topoplan.read_fabric("odd.yaml").gpu_host) == 2 * 4 + 14


# ---- counts --------------------------------------------------------------------------------------------------------


def test_counts_of_the_readme() -> None:
    told = section(README, "What it reads and writes")
    assert f"[{len(READERS)} formats]" in told
    assert f"{len(catalog.names())} [reference fabrics]" in told
    assert f"[{len(LAUNCHERS)} in all]" in told
    rows = re.findall(r"^\| [^|]+\? \| `([a-z-]+)` \|", section(README, "Questions with an answer"), re.MULTILINE)
    assert sorted(rows) == sorted(RULES)
