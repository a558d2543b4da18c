"""What the README quotes of the experts benchmark's tables: the same figures, a row a size."""

from __future__ import annotations

from collections.abc import Iterable

HEAD = (
    "| size: layers x experts, slots / GPUs | EPLB: gap | topoplan: gap | with weights | layers worse than EPLB's "
    "| duplicates | ms |\n|---|---|---|---|---|---|---|\n"
)


def headline(tables: str) -> str:
    """Markdown of balance by size, moves and remote hosts, from the three full tables."""
    balance, drift, routes = (_rows(table) for table in tables.strip().split("\n\n"))
    lines = []
    for size in dict.fromkeys(row[0] for row in balance):
        columns = list(zip(*(row for row in balance if row[0] == size), strict=True))
        cells = [size, *(_beside(columns[at]) for at in (2, 3, 5, 7, 8, 9))]
        lines.append(f"| {' | '.join(cells)} |\n")
    kinds = ", ".join(dict.fromkeys(row[1] for row in balance))
    said = f"Loads, in the order of the figures of a cell: {kinds}.\n\n"
    return said + HEAD + "".join(lines) + "\n" + _moves(drift) + _remote(routes)


def _rows(table: str) -> list[list[str]]:
    """Cells of a Markdown table below its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def _beside(cells: Iterable[str]) -> str:
    """Cells of several loads as one: topoplan's and, behind a semicolon and its name, each peer's."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for text in cell.replace("**", "").split("; "):
            name, _, value = text.rpartition(" ")
            found.setdefault(name, []).append(value)
    alike = {name: values[:1] if len(set(values)) == 1 else values for name, values in found.items()}
    return "; ".join(f"{name} {', '.join(values)}".strip() for name, values in alike.items())


def _moves(drift: list[list[str]]) -> str:
    """The second table as a line."""
    _, sigmas, theirs, _, mine, _, kept = zip(*drift, strict=True)
    levels = " or ".join(dict.fromkeys(sigmas))
    return (
        f"- Loads that drift by {levels}: EPLB moves {_range(theirs)} of all slots, topoplan {_range(mine)}, keeping "
        f"{_range(kept)} of the balance of its own fresh placement.\n"
    )


def _range(cells: Iterable[str]) -> str:
    """Least and most of cells of percent."""
    found = sorted((cell.strip("*") for cell in cells), key=lambda cell: float(cell.rstrip("%")))
    return f"{found[0]} to {found[-1]}"


def _remote(routes: list[list[str]]) -> str:
    """The third table, a line a size."""
    lines = []
    for size in dict.fromkeys(row[0] for row in routes):
        ways = [f"{way} {hosts}, {realised}" for name, way, hosts, realised, _ in routes if name == size]
        lines.append(f"- Remote hosts a token and balance realised, {size}: {'; '.join(ways)}.\n")
    return "".join(lines)
