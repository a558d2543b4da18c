"""Requests that, together, make launchers write every kind of line that they can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.launchers.conftest import make_fabric, place
from topoplan.errors import InfeasibleError
from topoplan.launchers import LAUNCHERS, Launcher, LaunchRequest
from topoplan.model.capability import Freedom
from topoplan.model.fabric import Fabric, Host, HostType
from topoplan.model.job import Job, Parallel
from topoplan.model.placement import RankPlacement

VALUES: dict[str, object] = {
    "program": ("python3", "train.py", "a b"),
    "master_port": 1234,
    "nccl_topo_file": "/etc/topo file.xml",
    "cores_per_host": 96,
    "mixed_precision": "bf16",
    "image": "registry/train:1",
    "namespace": "team-a",
    "pin": "true",
}


def plain(launcher: Launcher) -> RankPlacement:
    """Six hosts out of order, a partial one last; ranks that come back to hosts where the launcher can make them."""
    order = ("h6", "h10", "h2", "h0", "h7", "h1")
    seats = [(host, gpu) for host in order for gpu in (0, 1)][:-1]
    if launcher.freedom >= Freedom.GPUS:
        seats[:2] = seats[1::-1]
    if launcher.freedom >= Freedom.RANKS:
        seats = seats[::2] + seats[1::2]
    return place(make_fabric([*order, "spare"]), seats)


def values_for(launcher: Launcher) -> dict[str, Any]:
    """Something for every key of --set that the launcher takes."""
    return {key: value for key, value in VALUES.items() if key in launcher.settings}


def variants(name: str) -> Iterator[tuple[str, LaunchRequest]]:
    """Without settings and with all, with a job, on MIG slices, on thousands of hosts."""
    launcher = LAUNCHERS[name]
    request = LaunchRequest(plain(launcher), "a plan")
    ranks = request.placement.ranks
    yield "plain", request
    yield "job", replace(request, job=Job("j", ranks, parallel=Parallel(dp=ranks)))
    yield "set", replace(request, job=Job("j", ranks, parallel=Parallel(pp=ranks)), **values_for(launcher))
    many = make_fabric([f"n{i}" for i in range(1100)], 1)
    yield "many", LaunchRequest(RankPlacement(many, np.arange(1100)[::-1].copy()), "many")
    sliced = Fabric("mig", "ecmp", (HostType("mig", 3, (), 1, 0.0, slices=(2, 1)),), (Host("h0", 0),))
    own = LaunchRequest(RankPlacement(sliced, np.arange(3)), "slices")
    try:
        launcher.write(own)
    except InfeasibleError:
        return
    yield "slices", own
