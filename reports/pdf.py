"""The same page on paper: a tagged, accessible PDF (PDF/UA-1) by Typst, which needs no browser and no system library.

Typst comes as one wheel with its own layout and SVG engines (extra ``topoplan[pdf]``); the letters of text and figures
are those of DejaVu Sans, which matplotlib brings, whatever fonts a machine has. No date is written: the same page gives
the same bytes.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from topoplan.errors import SolverMissingError
from topoplan.reports.page_tree import find, page_tree, words

STANDARD: Literal["ua-1"] = "ua-1"  # ISO 14289-1: structure and alt text that a screen reader can use


def printer() -> Any:
    """Typst.

    Raises
    ------
    SolverMissingError
        It is not installed.
    """
    try:
        import typst  # noqa: PLC0415 - 80 MB that only those who print need
    except ImportError:
        raise SolverMissingError("PDF needs Typst", hint="pip install 'topoplan[pdf]'") from None
    return typst


def render_pdf(page: str) -> bytes:
    """PDF of a page that our templates made; raises as `printer`."""
    typst = printer()
    tree = page_tree(page)
    title = find(tree, "title")
    made = typst.compile(
        files("topoplan.reports").joinpath("templates", "report.typ").read_bytes(),
        font_paths=typst.Fonts(include_system_fonts=False, font_paths=[_fonts()]),
        format="pdf",
        sys_inputs={"page": json.dumps(tree), "title": words(title) if title else "topoplan"},
        pdf_standards=STANDARD,
    )
    assert isinstance(made, bytes)
    return made


def _fonts() -> Path:
    """Folder of DejaVu Sans."""
    import matplotlib  # noqa: PLC0415 - only those who print pay for it

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"
