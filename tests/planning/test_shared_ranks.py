"""How many consecutive ranks share an NVLink domain, and what experts then send on racks of 72."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest

import topoplan
from tests.cost.collectives.boxes import hosts
from topoplan.model.fabric import Fabric
from topoplan.model.job import Batch, CustomAxis, Job, Parallel
from topoplan.model.presets import PRESETS
from topoplan.planning.solve import job_traffic, shared_ranks

MODEL = PRESETS["deepseek-v3"]


@pytest.fixture(scope="module")
def racks() -> Fabric:
    return topoplan.read_fabric("gb200-nvl72:racks=16")


def job(**sizes: int) -> Job:
    parallel = Parallel(**sizes)
    return Job("j", parallel.world, MODEL, parallel, batch=Batch(4096, 1, 60))


@pytest.mark.parametrize(
    ("sizes", "width"),
    [
        ({"dp": 64, "ep": 64, "pp": 16}, 64),
        ({"dp": 256, "ep": 64}, 64),
        ({"dp": 64, "ep": 32, "pp": 4}, 64),
        ({"dp": 72, "ep": 8}, 72),
        ({"dp": 96, "ep": 32}, 32),
        ({"dp": 32, "ep": 32, "pp": 2}, 32),
        ({"tp": 4, "dp": 16, "ep": 16}, 64),
        ({"dp": 71, "pp": 2}, 72),  # nothing fits: as many as there are
    ],
)
def test_racks_take_whole_groups(racks: Fabric, sizes: dict[str, int], width: int) -> None:
    assert shared_ranks(job(**sizes), racks) == width


def test_hosts_are_filled_whatever_the_groups() -> None:
    assert shared_ranks(job(dp=12, ep=4), hosts(4)) == 8


def test_axes_of_ones_own_tile_racks_too(racks: Fabric) -> None:
    assert shared_ranks(Job("j", 128, axes=(CustomAxis("x", 128),)), racks) == 64


def test_every_stage_sends_what_a_token_visits(racks: Fabric) -> None:
    """By hand: half of the groups are drawn, 4 of a group's 32 experts are on a GPU, 8 of 128 are chosen."""
    what = job(dp=64, ep=64, pp=16)
    visited = 0.5 * (1 - comb(124, 8) / comb(128, 8))
    routing = MODEL.routing
    assert routing is not None
    each = 4096 * 2 * MODEL.hidden * (routing.dispatch_bytes + routing.combine_bytes) * 63 * visited
    traffic = job_traffic(what, racks)
    flows = traffic.flows[traffic.axes.index("ep")]
    sent = np.bincount(flows.src, flows.bytes).reshape(16, 64)
    layers = np.array([1, *[4] * 14, 1])  # three dense ones first, the output matrix last
    assert sent == pytest.approx(np.outer(layers * 60, np.full(64, each)))
    small = replace(what, batch=Batch(4096, 1, 30))
    assert job_traffic(small, racks).flows[0].bytes.sum() < traffic.flows[0].bytes.sum()
