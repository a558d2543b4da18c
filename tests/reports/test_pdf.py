"""The page on paper: the same bytes, all words, alt text on every figure, names that stay text."""

from __future__ import annotations

import dataclasses
import io
import sys
from typing import Any

import pytest

from topoplan.errors import SolverMissingError
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.traffic import Traffic
from topoplan.reports.html import ReportInput, render_html
from topoplan.reports.page_tree import find, page_tree, words
from topoplan.reports.pdf import render_pdf

Example = tuple[Plan, Job, Traffic, RankPlacement]


def page(example: Example, **changes: Any) -> str:
    plan, job, traffic, linear = example
    changed = dataclasses.replace(plan, **changes)
    return render_html(ReportInput(changed, "topoplan solve job.yaml", traffic, job, linear))


def pdf(text: str) -> Any:
    pytest.importorskip("typst", reason="PDF needs topoplan[pdf]")
    pypdf = pytest.importorskip("pypdf", reason="reads the PDF back")
    return pypdf.PdfReader(io.BytesIO(render_pdf(text)))


def alts(reader: Any) -> list[str]:
    """Alt texts in the structure tree, in reading order."""
    found: list[str] = []

    def walk(item: Any) -> None:
        element = item.get_object()
        if not isinstance(element, dict):
            return
        if "/Alt" in element:
            found.append(str(element["/Alt"]))
        below = element.get("/K")
        below = [] if below is None else below.get_object()
        for child in below if isinstance(below, list) else [below]:
            walk(child)

    walk(reader.trailer["/Root"]["/StructTreeRoot"])
    return found


def test_the_same_page_gives_the_same_bytes_without_a_date(example: Example) -> None:
    pytest.importorskip("typst", reason="PDF needs topoplan[pdf]")
    made = render_pdf(page(example))
    assert made == render_pdf(page(example))
    assert made.startswith(b"%PDF-")
    assert b"CreationDate" not in made
    assert b"CreateDate" not in made


def test_every_figure_of_the_page_has_its_alt_text(example: Example) -> None:
    text = page(example)
    reader = pdf(text)
    found = alts(reader)
    assert len(found) == text.count("<svg")
    assert all(len(alt) > 40 for alt in found)
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.metadata["/Title"] == "pretrain on lab · topoplan"


def test_the_words_of_the_page_are_on_paper(example: Example) -> None:
    reader = pdf(page(example))
    shown = " ".join(" ".join(sheet.extract_text() for sheet in reader.pages).split())
    for said in (
        "Exposed communication",
        "Pipeline stages",
        "How far from the best",
        "topoplan solve job.yaml",
        "linear",
    ):
        assert said in shown
    assert "Hosts in the order of their ranks" not in shown  # a list for screens
    hashed = "".join(shown.split()).replace("\u200b", "")
    assert "ab" * 32 in hashed


def test_markup_in_names_stays_text(example: Example) -> None:
    name = '#panic("x") *a* $b$ _c_ [d] @e <f> \\ "g" // h'
    reader = pdf(page(example, job=name))
    assert "#panic" in reader.pages[0].extract_text()
    assert reader.metadata["/Title"].startswith(name)


def test_long_words_may_break_and_figures_keep_their_source() -> None:
    long = "x" * 64
    tree = page_tree(f'<p class="a b">{long} y\n z</p><pre>k\n  l</pre><svg xmlns="http://www.w3.org/2000/svg" '
                     'width="3" height="2"><desc>D</desc><title>T</title></svg>')  # fmt: skip
    paragraph, code, figure = tree["children"]
    assert paragraph["class"] == "a b"
    assert words(paragraph) == f"{long} y z"
    assert max(map(len, paragraph["children"][0].split("\u200b"))) < 25
    assert words(code) == "k\n  l"
    assert (figure["title"], figure["description"], figure["width"], figure["height"]) == ("T", "D", 3.0, 2.0)
    assert find(tree, "table") is None


@pytest.mark.parametrize(("width", "pages"), [(1200, 2), (400, 1)])
def test_a_heading_goes_with_its_figure_also_on_a_page_on_its_side(width: int, pages: int) -> None:
    figure = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="200" viewBox="0 0 {width} 200">'
        '<title>T</title><desc>D</desc><rect width="9" height="9"/></svg>'
    )
    reader = pdf(
        "<html><head><title>t</title></head><body><h1>First</h1><p>words</p>\n<section>\n<h2>Second</h2>\n"
        f"<figure><div>{figure}</div><figcaption>below</figcaption></figure>\n<p>after</p></section></body></html>"
    )
    (sheet,) = (sheet for sheet in reader.pages if "below" in sheet.extract_text())
    assert "Second" in sheet.extract_text()
    assert (sheet.mediabox.width > sheet.mediabox.height) == (pages > 1)
    assert [text.count("Second") for text in (sheet.extract_text() for sheet in reader.pages)].count(1) == 1
    assert "after" in reader.pages[-1].extract_text()


def test_without_typst_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(SolverMissingError, match="topoplan\\[pdf\\]"):
        render_pdf("<p>x</p>")
