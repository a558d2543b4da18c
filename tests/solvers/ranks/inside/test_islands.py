"""Whole islands exchanged: what NICs and NVLinks carry stays, ranks stay together, spare and unequal islands serve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.inside.test_whole import job, racks
from topoplan.cost.price import floors, predict
from topoplan.model.fabric import Fabric, Group, IntArray, Tier
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankParams, RankProblem, keep_going
from topoplan.solvers.ranks.inside.islands import Racks, exchange_islands
from topoplan.solvers.ranks.inside.whole import Whole

QUICK = RankParams(2000, exact=None)


def pods(fabric: Fabric, per_pod: int = 2) -> Fabric:
    """The same racks with a tier of pods between leaves and core, whose uplinks are thin."""
    leaves = fabric.groups[1:]
    count = -(-len(leaves) // per_pod)
    groups = [Group("core", 2), *(Group(f"pod-{p}", 1, 0, 4, (1.0,) * 4, 50e9) for p in range(count))]
    groups += [replace(leaf, parent=1 + i // per_pod) for i, leaf in enumerate(leaves)]
    hosts = tuple(replace(host, group=host.group + count) for host in fabric.hosts)
    tiers = (Tier("leaf", 10), Tier("pod", 20), Tier("core", 40))
    return replace(fabric, groups=tuple(groups), hosts=hosts, tiers=tiers)


def couples(ranks: int, ep: int) -> Traffic:
    """Expert groups that talk to the group half the job away, and to nobody else."""
    base = job(ranks, ep)
    dst = np.where(base.axis == 2, (base.src + ranks // 2) % ranks, base.dst).astype(np.int32)
    return replace(base, dst=dst)


def first_fit(problem: RankProblem) -> IntArray:
    return next(iter(Whole(problem).placements()))[1]


def test_groups_that_talk_move_under_one_pod() -> None:
    fabric, traffic = pods(racks([2, 2, 2, 2])), couples(32, 8)
    problem = RankProblem(fabric, traffic)
    gpu = first_fit(problem)
    before = predict(fabric, traffic, gpu)
    prices = [predict(fabric, traffic, g) for _, g in exchange_islands(problem, gpu, QUICK, keep_going, 10)]
    assert min(p.hop_bytes for p in prices) == pytest.approx(before.hop_bytes / 2)
    assert min(p.exposed_ms for p in prices) < before.exposed_ms


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 4), min_size=2, max_size=6),
    broken=st.sets(st.tuples(st.integers(0, 23), st.integers(0, 3)), max_size=4),
    spare=st.integers(0, 3),
)
def test_only_uplinks_change(sizes: list[int], broken: set[tuple[int, int]], spare: int) -> None:
    fabric = pods(racks(sizes, frozenset((h, g) for h, g in broken if h < sum(sizes))))
    groups = int((np.bincount(fabric.gpu_island[fabric.gpu_free]) // 8).sum()) - spare
    if groups < 2:
        return
    traffic = couples(groups * 8, 8)
    problem = RankProblem(fabric, traffic)
    gpu = first_fit(problem)
    for _, moved in exchange_islands(problem, gpu, QUICK, keep_going, 2):
        assert len(set(moved.tolist())) == len(gpu)
        assert fabric.gpu_free[moved].all()
        assert not Whole(problem).splits(moved)
        assert (fabric.gpu_local[moved] == fabric.gpu_local[gpu]).all()
        assert floors(fabric, traffic, moved) == pytest.approx(floors(fabric, traffic, gpu))


def test_larger_islands_take_the_place_of_smaller_ones_but_not_the_other_way() -> None:
    # islands of 3 and 4 hosts with 16 GPUs taken in the larger: both larger ones are of one kind, the smaller apart
    fabric = racks([4, 3, 4, 3])
    problem = RankProblem(fabric, couples(32, 16))
    racked = Racks(problem, first_fit(problem))
    assert fabric.gpu_island[fabric.gpu_offset[racked.place]].tolist() == [0, 2, 1, 3]
    assert racked.kind.tolist() == [0, 0, 1, 1]
    assert racked.taken.tolist() == [4, 4, 0, 0]


def test_nothing_to_exchange() -> None:
    fabric, traffic = racks([2, 2]), couples(16, 8)
    first, second = fabric.islands
    alone = tuple(replace(host, group=-1) for host in fabric.hosts)
    for unfit in (
        replace(fabric, islands=()),
        replace(fabric, groups=(), tiers=(), hosts=alone),
        replace(fabric, islands=(replace(first, hosts=(0, 1, 2)), replace(second, hosts=(3,)))),
    ):
        assert exchange_islands(RankProblem(unfit, traffic), np.arange(16), QUICK, keep_going, 1) == []
