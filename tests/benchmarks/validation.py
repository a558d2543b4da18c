"""The tables of ``topoplan doctor --validate`` for docs/measured.md and, summed up, for the README.

Prints Markdown; with --readme it replaces the tables between the markers of both.
"""

from __future__ import annotations

import argparse
import re

from tests.pages import DOCS, README, write_part
from topoplan.studies.validation.row import Row
from topoplan.studies.validation.table import cells, markdown, rows, summary

PAGE, PART = DOCS / "measured.md", "validation"
# The README's rows: subjects that match the first pattern that fits
KINDS = {
    "DeepEP": "MoE dispatch and combine, DeepEP's kernels",
    "NCCL": "NCCL inside a host",
    "all-reduce of 8 GiB on 5": "all-reduce on some of a host's GPUs",
    "all-reduce": "all-reduce over hosts and racks",
    "step of (deepseek|qwen)": "step of MoE models",
    "step of": "step of dense models",
}
HEAD = "| prediction | target | kept by | errors where kept | missed | without a target |\n|---|---|---|---|---|---|\n"


def compact(found: list[Row]) -> str:
    """A row a kind of prediction, every miss named."""
    kinds: dict[str, list[Row]] = {}
    for row in found:
        kinds.setdefault(next(name for start, name in KINDS.items() if re.match(start, row.subject)), []).append(row)
    return HEAD + "".join(_line(name, mine) for name, mine in kinds.items()) + f"\n{summary(found)}.\n"


def _line(name: str, mine: list[Row]) -> str:
    judged = [row for row in mine if row.target is not None]
    kept = [row for row in judged if row.verdict == "ok"]
    free = [row for row in mine if row.target is None]
    missed = [f"{_short(row.subject)}: {_percent(row)}" for row in judged if row.verdict == "MISSED"]
    targets = " or ".join(dict.fromkeys(cells(row)[4] for row in judged)) or "-"
    others = f"{len(free)}: {_range(free)}" if free else "-"
    ratio = f"{len(kept)} of {len(judged)}" if judged else "-"
    return f"| {name} | {targets} | {ratio} | {_range(kept)} | {'; '.join(missed) or '-'} | {others} |\n"


def _short(subject: str) -> str:
    """What a row is about, less what its kind says."""
    return re.sub(r"^step of |, \d+ operations.*", "", subject)


def _range(some: list[Row]) -> str:
    """Least and most error."""
    errors = sorted(some, key=lambda row: row.error)
    ends = dict.fromkeys(f"{100 * row.error:.1f}" for row in errors[:1] + errors[-1:])
    return f"{' to '.join(ends)} %" if ends else "-"


def _percent(row: Row) -> str:
    return f"{100 * row.error:.1f} %"


def main() -> None:
    """Print or store the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md and docs/measured.md")
    args = parser.parse_args()
    found = rows()
    print(markdown(found), end="")
    if args.readme:
        write_part(PAGE, PART, markdown(found))
        write_part(README, PART, compact(found))


if __name__ == "__main__":
    main()
