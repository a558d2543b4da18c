"""Pages in a real browser: nothing wider than the window at two widths; skipped where there is no Chromium."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.reports.conftest import make_plan
from tests.reports.test_planning import QUOTE
from tests.studies.make import STUDY, study_of
from topoplan.planning.collectives import axis_collectives
from topoplan.reports.html import ReportInput, render_html
from topoplan.reports.study_html import render_study
from topoplan.studies.answers import answer
from topoplan.studies.evaluate import evaluate
from topoplan.studies.exposure import sweep_exposure
from topoplan.studies.grid import scenarios
from topoplan.studies.sensitivity import sensitivity
from topoplan.studies.table import table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1400, 600)
# What sticks out of the window and cannot be scrolled to inside a box of its own; asked of the browser itself.
PROBE = """<script>addEventListener("load", () => {
  const own = node => ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
  const scrolls = node => node && (own(node) || scrolls(node.parentElement));
  const wide = [...document.querySelectorAll("body *")].filter(
    node => node.getBoundingClientRect().right > innerWidth + 1 && !scrolls(node));
  const whole = document.documentElement.scrollWidth;
  document.title = `page ${whole} window ${innerWidth} wide ${wide.map(node => node.tagName)} end`;
});</script>"""


def probe(page: str, width: int, folder: Path) -> tuple[int, int, str]:
    """Width of the page and of the window, and the elements that stick out."""
    assert CHROMIUM is not None
    file = folder / f"page-{width}.html"
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    assert policy in page  # the probe is a script, which the page itself forbids
    file.write_text(page.replace(policy, "").replace("</body>", f"{PROBE}</body>"))
    command = [
        CHROMIUM, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / f'profile-{width}'}",
        f"--window-size={width},2000", "--virtual-time-budget=20000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium refuses to run as root with it
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    found = re.search(r"<title>page (\d+) window (\d+) wide (.*?) end</title>", done.stdout)
    assert found, done.stderr[-2000:]
    return int(found[1]), int(found[2]), found[3]


@pytest.fixture(scope="module")
def page() -> str:
    plan, job, traffic, linear = make_plan()
    assert plan.placement is not None
    view = ReportInput(
        dataclasses.replace(plan, warnings=("a warning with one " + "very" * 60 + " long word",)),
        "topoplan solve job.yaml --topology " + "a-long-folder/" * 20 + "fabric.yaml", traffic, job, linear,
        prices=QUOTE, sensitivity=sensitivity(job, plan.placement, traffic),
        exposures=sweep_exposure(job, plan.placement.fabric, traffic, plan.placement.gpu, linear.gpu),
        collectives=axis_collectives(job, traffic, plan.placement.fabric, plan.placement.gpu),
    )  # fmt: skip
    return render_html(view)


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    study = study_of(STUDY, tmp_path_factory.mktemp("study"))
    grid = scenarios(study)
    content = table(grid, {item.key: evaluate(item) for item in grid})
    return render_study(study, content, answer(study.question, content, study.tolerance), "topoplan sweep study.yaml")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
@pytest.mark.parametrize("width", WIDTHS)
def test_a_study_fits_the_window_too(study_page: str, width: int, tmp_path: Path) -> None:
    assert probe(study_page, width, tmp_path) == (width, width, "")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_window(page: str, width: int, tmp_path: Path) -> None:
    whole, window, wide = probe(page, width, tmp_path)
    assert window == width
    assert whole <= window
    assert wide == ""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_the_probe_sees_what_sticks_out(page: str, tmp_path: Path) -> None:
    wide = page.replace("</main>", '<p style="width: 1500px; max-width: none">x</p></main>')
    found, window, elements = probe(wide, 600, tmp_path)
    assert found > window
    assert "P" in elements.split(",")
