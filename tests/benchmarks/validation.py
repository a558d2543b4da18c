"""The table of ``topoplan doctor --validate`` for the README.

Prints Markdown; with --readme it replaces the table between the markers in README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from topoplan.studies.validation.table import markdown, rows

BEGIN, END = "<!-- validation -->", "<!-- end of validation -->"
README = Path(__file__).parents[2] / "README.md"


def replaced(text: str, table: str) -> str:
    """The README's text with a new table between the markers."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}"


def main() -> None:
    """Print or store the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    args = parser.parse_args()
    table = markdown(rows())
    print(table, end="")
    if args.readme:
        README.write_text(replaced(README.read_text(), table))


if __name__ == "__main__":
    main()
