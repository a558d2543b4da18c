"""Whether a launcher can make a placement at all."""

from __future__ import annotations

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.capability import Freedom
from topoplan.model.fabric import IntArray
from topoplan.model.placement import RankPlacement

_NAMED = 4  # ranks that a message names


def check_expressible(placement: RankPlacement, freedom: Freedom, launcher: str, shim: str = "") -> None:
    """Raise InfeasibleError that names the first ranks which `launcher`, within `freedom`, would place elsewhere.

    Parameters
    ----------
    shim
        How to start the program all the same, for the hint; see `topoplan.launchers.base.Launcher`.
    """
    if freedom >= Freedom.RANKS:
        return
    host = placement.host
    torn = _torn_ranks(host)
    if len(torn):
        raise InfeasibleError(
            f"{launcher} gives consecutive ranks to a host, but {_name_ranks(placement, torn)} return to a host "
            f"whose ranks had ended ({len(torn)} such ranks)",
            hint=_hint(launcher, shim),
        )
    if freedom >= Freedom.GPUS:
        return
    position = np.arange(placement.ranks) - np.maximum.accumulate(np.where(_starts(host), np.arange(len(host)), 0))
    moved = np.flatnonzero(placement.local != position)
    if len(moved):
        raise InfeasibleError(
            f"{launcher} runs local rank i on GPU i, but {_name_ranks(placement, moved)} are planned on other GPUs "
            f"({len(moved)} such ranks)",
            hint=_hint(launcher, shim),
        )


def _hint(launcher: str, shim: str) -> str:
    other = f"let processes take their ranks from the plan: {shim}" if shim else "export for openmpi or slurm"
    return f"plan for it with solve --launcher {launcher}, or {other}"


def whole_hosts(placement: RankPlacement) -> bool:
    """Whether every host has consecutive ranks."""
    return not len(_torn_ranks(placement.host))


def _starts(host: IntArray) -> IntArray:
    """[ranks] bool where a run of ranks on one host begins."""
    return np.asarray(np.concatenate([[True], host[1:] != host[:-1]]))


def _torn_ranks(host: IntArray) -> IntArray:
    """Ranks of every run after the first of their host."""
    run = np.cumsum(_starts(host)) - 1
    first_run = np.full(host.max() + 1, len(host))
    np.minimum.at(first_run, host, run)
    return np.flatnonzero(run != first_run[host]).astype(np.int64)


def _name_ranks(placement: RankPlacement, ranks: IntArray) -> str:
    names = placement.fabric.host_names
    shown = [f"{r} ({names[placement.host[r]]} GPU {placement.local[r]})" for r in ranks[:_NAMED]]
    return ("ranks " if len(ranks) > 1 else "rank ") + ", ".join(shown) + (" ..." if len(ranks) > _NAMED else "")
