"""The README and the pages of topoplan/docs: where they are, and what commands write into them between markers.

A part named `formats` stands between the lines `<!-- formats -->` and `<!-- end of formats -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "topoplan" / "docs"
PAGES = (README, *sorted(DOCS.glob("*.md")))


def part(page: Path, name: str) -> str:
    """What stands between the markers of `name`; ValueError where they are not there once each."""
    return _cut(page.read_text(), name)[1]


def write_part(page: Path, name: str, text: str) -> None:
    """Put `text`, which ends with a line end, between the markers of `name`."""
    before, _, after = _cut(page.read_text(), name)
    page.write_text(before + text + after)


def section(page: Path, title: str) -> str:
    """What stands below the heading `title`, up to the next of its level."""
    ((level, text),) = re.findall(
        rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return str(text) if level else ""


def blocks(text: str, language: str) -> list[str]:
    """The contents of fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _cut(text: str, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after
