"""Measured points inside the package: small CSV files whose comment lines name their source."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from topoplan.model.fabric import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Points:
    """A table of measured points.

    Parameters
    ----------
    columns
        Texts of each column, in the order of the file.
    source
        Where the figures are from.
    """

    columns: dict[str, tuple[str, ...]]
    source: str

    def numbers(self, column: str) -> FloatArray:
        """[points] float64."""
        return np.array(self.columns[column], np.float64)

    def where(self, **wanted: object) -> Points:
        """The points whose columns have the values wanted, given as they stand in the file."""
        keep = self._keep(wanted)
        columns = {name: tuple(np.array(values)[keep].tolist()) for name, values in self.columns.items()}
        return Points(columns, self.source)

    def _keep(self, wanted: dict[str, object]) -> BoolArray:
        size = len(next(iter(self.columns.values())))
        keep = np.ones(size, bool)
        for name, value in wanted.items():
            keep &= np.array(self.columns[name]) == str(value)
        return keep

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@cache
def read(name: str) -> Points:
    """The points of a file of this package."""
    text = (files("topoplan.studies") / "points" / f"{name}.csv").read_text(encoding="utf-8")
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    columns = {column: tuple(row[column] for row in rows) for column in rows[0]}
    named = [line.removeprefix("source: ") for line in comments if line.startswith("source: ")]
    return Points(columns, named[0] if named else ", ".join(sorted(set(columns["source"]))))
