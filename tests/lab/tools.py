"""Where the lab finds launchers: a variable, the folder that tests/run fills, or PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

INSTALLED = Path(sys.prefix) / "lab"  # tests/run puts each MPI of PyPI into an environment of its own there


def find(program: str, variable: str, environment: str = "") -> str:
    """Path of a program, "" when there is none.

    Parameters
    ----------
    variable
        Environment variable that names it, first of all.
    environment
        Folder of `INSTALLED` that has it; else it is looked for beside the interpreter and on PATH.
    """
    named = os.environ.get(variable)
    if named:
        return named
    if environment:
        path = INSTALLED / environment / "bin" / program
        return str(path) if path.exists() else ""
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else shutil.which(program) or ""


def path_with(*folders: Path) -> str:
    """PATH with these folders before all others."""
    return ":".join([*map(str, folders), os.environ["PATH"]])
