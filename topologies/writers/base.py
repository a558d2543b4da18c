"""What all writers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from topoplan.model.fabric import Fabric


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that others read.

    Parameters
    ----------
    name
        Value of --to.
    write
        Fabric -> text of one file; raises InputError where the format has no way to say what the fabric is. Its module
        or docstring lists what the format cannot hold and so leaves out.
    description
        One line for people.
    """

    name: str
    write: Callable[[Fabric], str]
    description: str
