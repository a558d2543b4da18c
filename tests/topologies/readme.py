"""The README's table of formats, made from the registries: `python -m tests.topologies.readme` writes it."""

from __future__ import annotations

from pathlib import Path

from topoplan.topologies.formats import READERS
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK
from topoplan.topologies.writers import WRITERS

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- formats -->\n", "<!-- end of formats -->\n"
_TOLD = {NETWORK: "network", HOST: "hosts", ISLANDS: "NVLink"}


def table() -> str:
    """One row for each format, readers in the order in which they are asked, then what is only written."""
    written = {writer.name: writer.description for writer in WRITERS}
    rows = [
        (r.name, r.description, ", ".join(word for part, word in _TOLD.items() if part in r.tells), r.name in written)
        for r in READERS
    ]
    rows += [(name, text, "written only", True) for name, text in written.items() if name not in {r[0] for r in rows}]
    lines = ["| format | what it is | it tells of | `--to` |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {text} | {told} | {'yes' if to else ''} |" for name, text, told, to in rows]
    return "\n".join(lines) + "\n"


def shown() -> str:
    """The table as it stands in the README."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    head, _, rest = README.read_text().partition(BEGIN)
    README.write_text(head + BEGIN + table() + END + rest.partition(END)[2])
