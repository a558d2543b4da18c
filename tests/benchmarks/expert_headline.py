"""What the README quotes of the experts benchmark's tables: the same figures, a row a size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Row = list[str]


def headline(tables: str) -> str:
    """Markdown of balance by size, moves and remote hosts, from the three full tables."""
    balance, drift, routes = (_rows(table) for table in tables.strip().split("\n\n"))
    return _gaps(balance) + "\n" + _moves(drift) + _remote(routes)


def _rows(table: str) -> list[Row]:
    """Cells of a Markdown table below its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def _gaps(balance: list[Row]) -> str:
    """The first table: a column a load."""
    loads = list(dict.fromkeys(row[1] for row in balance))
    head = ["gap, EPLB's and topoplan's", *loads, "layers worse", "nearest copy keeps", "EPLB's", "ms", "EPLB's ms"]
    lines = [head, ["---"] * len(head)]
    for size, mine in _by_first(balance).items():
        gaps = [f"{row[2]}, {row[3]}" for row in mine]
        worse = "-" if mine[0][7] == "-" else str(sum(int(row[7]) for row in mine))
        lines.append([size, *gaps, worse, *_both(row[8] for row in mine), *_both(row[10] for row in mine)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _both(cells: Iterable[str]) -> list[str]:
    """Least and most of topoplan's and of EPLB's figures, which a cell holds one after the other."""
    pairs = [cell.split("; ") for cell in cells]
    return [_range(pair[0] for pair in pairs), _range(pair[1].split()[-1] if pair[1:] else "-" for pair in pairs)]


def _by_first(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def _range(cells: Iterable[str]) -> str:
    """Least and most of cells that hold numbers, or - where no peer was there to measure."""
    found = [cell.strip("*") for cell in cells]
    if "-" in found:
        return "-"
    found.sort(key=lambda cell: float(cell.rstrip("%").replace(",", "")))
    return f"{found[0]} to {found[-1]}"


def _moves(drift: Sequence[Row]) -> str:
    """The second table as a line."""
    _, sigmas, theirs, _, mine, _, kept = zip(*drift, strict=True)
    levels = " or ".join(dict.fromkeys(sigmas))
    return (
        f"- Loads that drift by {levels}: EPLB moves {_range(theirs)} of all slots, topoplan {_range(mine)}, keeping "
        f"{_range(kept)} of the balance of its own fresh placement.\n"
    )


def _remote(routes: list[Row]) -> str:
    """The third table, a line a size."""
    lines = []
    for size, mine in _by_first(routes).items():
        ways = [f"{way} {hosts}, {realised}" for _, way, hosts, realised, _ in mine]
        lines.append(f"- Remote hosts a token and balance realised, {size}: {'; '.join(ways)}.\n")
    return "".join(lines)
