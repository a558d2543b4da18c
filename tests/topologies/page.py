"""The table of formats in docs/fabrics.md, made from the registries: `python -m tests.topologies.page` writes it."""

from __future__ import annotations

from tests.pages import DOCS, write_part
from topoplan.topologies.formats import READERS
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK
from topoplan.topologies.writers import WRITERS

PAGE = DOCS / "fabrics.md"
PART = "formats"
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


if __name__ == "__main__":
    write_part(PAGE, PART, table())
