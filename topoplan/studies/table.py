"""The table of a study: one row a scenario, in the order of the study; as CSV and Parquet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from topoplan.errors import SolverMissingError
from topoplan.studies.model import Scenario, Value
from topoplan.studies.outcome import Outcome

Cell = str | int | float | bool | None

NUMBERS = ("exposed_ms", "ideal_ms", "before_ms", "busiest_nic_ms", "busiest_uplink_ms", "hop_bytes")
COUNTS = ("ranks", "gpus", "hosts", "tokens", "moved")


@dataclass(frozen=True, eq=False)
class Row:
    """A scenario with its outcome.

    Parameters
    ----------
    varied
        Value of each varied parameter, as ``fabric.KEY`` and ``job.KEY``.
    """

    scenario: Scenario
    outcome: Outcome
    varied: Mapping[str, Value]

    @property
    def fabric(self) -> str:
        """Name of the fabric."""
        return self.scenario.fabric.name

    @property
    def job(self) -> str:
        """Name of the job."""
        return self.scenario.job.name

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken."""
        return not self.scenario.failure.count

    @property
    def ms(self) -> float:
        """Exposed time of a step; infinite where there is no price."""
        return math.inf if self.outcome.exposed_ms is None else self.outcome.exposed_ms


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in the order of the study, and the parameters that some of them vary."""

    rows: tuple[Row, ...]
    varied: tuple[str, ...]
    axes: tuple[str, ...]

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the files."""
        return (
            "scenario", "key", "fabric", "job", *self.varied, "order", "failure", "failed", "failed_count", "after",
            "status", "reason", *COUNTS, "nic_bytes_per_s", "uplink_bytes_per_s", *NUMBERS, "busiest_uplink", "method",
            *(f"axis_{axis}_ms" for axis in self.axes),
        )  # fmt: skip

    def cells(self) -> list[tuple[Cell, ...]]:
        """Values of every row, in the order of `columns`; None where there is none."""
        return [self._cells(i, row) for i, row in enumerate(self.rows)]

    def _cells(self, i: int, row: Row) -> tuple[Cell, ...]:
        scenario, outcome = row.scenario, row.outcome
        failure = scenario.failure
        return (
            i, scenario.key, row.fabric, row.job, *(row.varied.get(key) for key in self.varied),
            scenario.order, failure.kind, failure.what, failure.count, scenario.after,
            outcome.status, outcome.reason, *(getattr(outcome, name) for name in COUNTS),
            outcome.nic_bytes_per_s, outcome.uplink_bytes_per_s, *(getattr(outcome, name) for name in NUMBERS),
            outcome.busiest_uplink, outcome.method, *(outcome.axes_ms.get(axis) for axis in self.axes),
        )  # fmt: skip


def table(scenarios: Sequence[Scenario], found: Mapping[str, Outcome]) -> Table:
    """Table of scenarios and the outcomes of their keys."""
    rows = []
    for scenario in scenarios:
        varied = {f"fabric.{key}": value for key, value in scenario.fabric.varied.items()}
        varied |= {f"job.{key}": value for key, value in scenario.job.varied.items()}
        rows.append(Row(scenario, found[scenario.key], varied))
    keys = dict.fromkeys(key for row in rows for key in row.varied)
    axes = dict.fromkeys(axis for row in rows for axis in row.outcome.axes_ms)
    return Table(tuple(rows), tuple(keys), tuple(axes))


def to_csv(content: Table) -> str:
    """CSV text: numbers with all their digits, empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(content.columns())
    for cells in content.cells():
        writer.writerow(["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return buffer.getvalue()


def to_parquet(content: Table) -> bytes:
    """Parquet file of the same columns; one that mixes numbers and texts holds texts.

    Raises
    ------
    SolverMissingError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise SolverMissingError("pyarrow is not installed", hint="pip install 'topoplan[parquet]'") from None
    names, rows = content.columns(), content.cells()
    arrays = [pa.array(_alike([row[i] for row in rows])) for i in range(len(names))]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(names)), buffer, compression="zstd")
    return buffer.getvalue()


def _alike(values: Sequence[Cell]) -> list[Cell]:
    """Values of one type, which Parquet asks for: whole numbers become fractions beside such, all else texts."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return list(values) if len(kinds) < 2 else [None if value is None else str(value) for value in values]
