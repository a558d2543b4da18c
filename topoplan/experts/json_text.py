"""JSON of other programs, as plain data and arrays, safe for hostile text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import IntArray


def parse_json(data: bytes) -> Any:
    """Plain data of JSON text; InputError for anything else."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, numbers of thousands of digits
        raise InputError(f"not a JSON file: {str(error)[:200]}") from error


def whole_rows(rows: Any, what: str) -> IntArray:
    """[rows, columns] int64 of a list of lists.

    Parameters
    ----------
    what
        What the list is called, for messages.

    Raises
    ------
    InputError
        It is no list of lists of equal length, or holds anything but whole numbers that fit.
    """
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        raise InputError(f"{what} must be a list of layers with as many slots each")
    if any(type(value) is not int for row in rows for value in row):
        raise InputError(f"{what} must hold whole numbers")
    try:
        return np.array(rows, np.int64).reshape(len(rows), -1)
    except (OverflowError, ValueError) as error:
        raise InputError(f"{what} holds a number that is no expert") from error


def row_lines(rows: Iterable[Sequence[float]]) -> str:
    """A JSON list of lists, one inner list a line."""
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"
