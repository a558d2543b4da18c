"""The table that `nvidia-smi topo -m` prints, found in a text and taken apart; what cells mean is nvidia_smi_topo's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from topoplan.errors import InputError, Place
from topoplan.topologies.reading import lines

MAX_LINE = 32_768  # characters; a row of 16 GPUs and 500 NICs has 4,000
MAX_TABLES = 1000  # in one text
MAX_HEADER = 12  # lines that a terminal may break the header into
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
_CELL = re.compile(r"X|NV\d{1,3}|PIX|PXB|PHB|NODE|SYS|SOC")
_CELLS = re.compile(rf"(?:{_CELL.pattern})+")  # several where a terminal broke the line and both parts were joined
_GPU = re.compile(r"GPU\d{1,4}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_GLUED = re.compile(r"(?<=\d)(?=(?:NIC|GPU)\d)")  # columns of two-digit NICs run into each other
_AFFINITY = re.compile(r"(?:CPU|NUMA)\s+Affinity|GPU\s+NUMA\s+ID|CPU\s*$|NUMA\s*$")
_LEGEND = re.compile(r"(NIC\d{1,4}):\s*([A-Za-z0-9_.-]{1,64})")


@dataclass(slots=True)
class Table:
    """A table of cells.

    Parameters
    ----------
    gpus, nics
        Labels of its columns, in the order of the header.
    rows
        Label of a row -> its cells in the order of `columns`.
    numa
        NUMA node of each GPU, as text; its CPUs where the table has no NUMA nodes.
    own_memory
        GPUs whose memory is a NUMA node of its own, as that of Grace's GPUs is (column GPU NUMA ID).
    names
        Device name of each NIC label, from the legend.
    legend
        Text after the table.
    line
        Number of the first row's line.
    more
        Further tables in the text.
    """

    columns: list[str]
    rows: dict[str, list[str]]
    line: int
    numa: dict[str, str] = field(default_factory=dict)
    own_memory: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    legend: str = ""
    more: int = 0
    index: dict[str, int] = field(default_factory=dict)

    @property
    def gpus(self) -> list[str]:
        """GPU columns."""
        return [label for label in self.columns if _GPU.fullmatch(label)]

    @property
    def nics(self) -> list[str]:
        """NIC columns."""
        return [label for label in self.columns if not _GPU.fullmatch(label)]

    def cell(self, row: str, column: str) -> str:
        """Cell of a row; "" where the row has none."""
        return self.rows[row][self.index[column]]


def has_row(text: str) -> bool:
    """Whether a line of `text` is the row of GPU0."""
    return any("GPU0" in line and _row(line) is not None for line in _clean(text).split("\n"))


def find_table(text: str, path: str) -> Table:
    """First table of `text`.

    Raises
    ------
    InputError
        There is none, or its header and rows do not fit.
    """
    listed = [(number, _clean(line)) for number, line in lines(text, path)]
    starts = {i: len(_cells(line[found[1] :], 2)[0]) for i, line, found in islice(_first_rows(listed), MAX_TABLES)}
    if not starts:
        hint = "give the output of: nvidia-smi topo -m"
        raise InputError("no row of GPU0 as nvidia-smi topo -m prints it", place=Place(path), hint=hint)
    start = max(starts, key=lambda i: (starts[i], -i))  # with one cell it may be a table of topo -p2p
    number = listed[start][0]
    columns = _columns([line for _, line in listed[max(0, start - MAX_HEADER) : start]], path, number)
    table = Table(columns, {}, number, index={label: n for n, label in enumerate(columns)})
    end = _read_rows(table, listed, start, path)
    table.more = sum(i >= end and cells == starts[start] for i, cells in starts.items())
    table.legend = "\n".join(line for _, line in listed[end:])
    for label, name in _LEGEND.findall(table.legend):
        table.names.setdefault(label, name)
    return table


def _first_rows(listed: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str, tuple[str, int]]]:
    """Index, line and `_row` of each row of GPU0."""
    for i, (_, line) in enumerate(listed):
        found = _row(line) if "GPU0" in line else None
        if found is not None and found[0] == "GPU0":
            yield i, line, found


def _clean(line: str) -> str:
    return _ESCAPES.sub("", line)


def _row(line: str) -> tuple[str, int] | None:
    """Label of a row and where its cells begin, None for other lines."""
    if len(line) > MAX_LINE:
        return None
    before = ""
    for match in re.finditer(r"\S+", line):
        if before and _CELL.fullmatch(match[0]):
            return before, match.start()
        label = match[0].lstrip("/#*|>\"'`")
        before = label if _NAME.fullmatch(label) and not _CELL.fullmatch(label) else ""
    return None


def _columns(above: Sequence[str], path: str, number: int) -> list[str]:
    """Labels of the header: the lines right above the first row, as many as the header was broken into."""
    columns: list[str] = []
    for line in reversed(above):
        if len(line) > MAX_LINE:
            break
        words = _GLUED.sub(" ", _AFFINITY.sub(" ", line)).split()
        words = [word for word in (word.strip("/#*|>\"'`") for word in words) if word]
        if "GPU0" in words:
            words = words[words.index("GPU0") :]  # a log's prefix stands before it
        words = [word for word in words if not word.isalpha()]  # affinity, whole or broken; devices have numbers
        if not words and columns:
            break
        if any(not _NAME.fullmatch(word) for word in words):
            break
        columns = words + columns
        if "GPU0" in words:
            break
    if "GPU0" not in columns:
        message = "the row of GPU0 has no header above it"
        raise InputError(message, place=Place(path, number), hint="give the whole output of: nvidia-smi topo -m")
    twice = next((label for n, label in enumerate(columns) if label in columns[:n]), "")
    if twice:
        raise InputError(f"column {twice} stands twice in the header", place=Place(path, number))
    return columns


def _read_rows(table: Table, listed: Sequence[tuple[int, str]], start: int, path: str) -> int:
    """Fill `table` with the rows from `start` on; index of the line behind them."""
    at = start
    width = len(table.columns)
    gpus = table.gpus
    while at < len(listed):
        number, line = listed[at]
        found = _row(line)
        at += 1
        if found is None or found[0] not in table.index:
            if line.strip():
                break
            if len(table.rows) >= len(gpus):
                break
            continue
        if found[0] in table.rows:
            break  # another table
        cells, tail = _cells(line[found[1] :], width)
        while len(cells) < width and at < len(listed) and _goes_on(listed[at][1]):
            more, tail = _cells(listed[at][1], width - len(cells))
            cells += more
            at += 1
        if len(cells) < width and _GPU.fullmatch(found[0]):
            message = f"row {found[0]} has {len(cells)} cells for {width} columns"
            raise InputError(message, place=Place(path, number), hint="print the table again, in a wide terminal")
        table.rows[found[0]] = cells + [""] * (width - len(cells))
        table.numa[found[0]], node = _numa(tail)
        if node:
            table.own_memory.add(found[0])
    missing = [gpu for gpu in gpus if gpu not in table.rows]
    if missing:
        message = f"{missing[0]} has a column but no row: the table is cut off"
        raise InputError(message, place=Place(path, table.line), hint="print it again, whole")
    return at


def _goes_on(line: str) -> bool:
    words = line.split()
    return bool(words) and bool(_CELL.fullmatch(words[0])) and words[1:2] != ["="] and _row(line) is None


def _cells(text: str, width: int) -> tuple[list[str], str]:
    """Up to `width` cells, and what follows them."""
    cells: list[str] = []
    end = 0
    for match in re.finditer(r"\S+", text):
        if len(cells) == width or not _CELLS.fullmatch(match[0]):
            break
        cells += _CELL.findall(match[0])
        end = match.end()
    return cells[:width], text[end:]


def _numa(tail: str) -> tuple[str, bool]:
    """First NUMA node of the columns behind the cells, their CPUs where there is no such column, "" for neither.

    And whether the column after it gives the GPU a node of its own.
    """
    parts = tail.split("\t")[1:] if "\t" in tail else re.split(r"\s{2,}", tail.strip())
    parts = [part.strip() for part in parts]
    cpus, nodes = [*parts, "", ""][:2]
    node = re.match(r"\d+", nodes)
    shown = f"node {node[0]}" if node else f"CPUs {cpus}" if re.match(r"\d", cpus) else ""
    return shown, any(part.isdecimal() for part in parts[2:])
