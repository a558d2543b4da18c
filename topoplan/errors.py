"""Errors that a user can meet, and the exit code of each.

::

    TopoplanError                 1
    ├── InputError                2   bad file, option or argument
    ├── InfeasibleError           3   the request cannot be met; names the constraints that clash
    ├── LimitError                4   a limit was reached before any plan
    ├── SolverMissingError        5   an optional solver is not installed
    └── VerificationError         6   the launcher does not do what the plan says

Anything else that escapes is a defect of topoplan (exit code 1); an interrupt exits with 130.
"""

from __future__ import annotations

from dataclasses import dataclass


class TopoplanError(Exception):
    """Base of all errors that topoplan raises on purpose.

    Parameters
    ----------
    message
        What is wrong, in one sentence.
    hint
        What to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; line and column count from 1, 0 is unknown."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.path] + [str(n) for n in (self.line, self.column) if n])


class InputError(TopoplanError):
    """A file, option or argument is not what it should be."""

    exit_code = 2

    def __init__(self, message: str, *, place: Place | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.place = place

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.place}: {text}" if self.place else text


class InfeasibleError(TopoplanError):
    """The input is sound but no plan can satisfy it."""

    exit_code = 3


class LimitError(TopoplanError):
    """A limit of time or work was reached before there was any plan."""

    exit_code = 4


class SolverMissingError(TopoplanError):
    """A solver or optional package that the request needs is not installed."""

    exit_code = 5


class VerificationError(TopoplanError):
    """A launch file or an observed run differs from the plan."""

    exit_code = 6
