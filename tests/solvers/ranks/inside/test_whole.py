"""Groups that fit in an NVLink domain are never split where they can all be whole; otherwise the reason is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.model.capability import Capability, Freedom
from topoplan.model.fabric import Fabric, Group, Host, HostType, IntArray, Island, Nic, Tier
from topoplan.model.plan import OBJECTIVES
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.inside.whole import Whole, together

QUICK = RankParams(200, exact=None)


def racks(sizes: list[int], broken: frozenset[tuple[int, int]] = frozenset(), gpus: int = 4) -> Fabric:
    """Racks of trays, each an NVLink domain under a leaf of its own."""
    kind = HostType("tray", gpus, tuple(Nic(i, 50e9, i) for i in range(gpus)), gpus, 9e11)
    groups = [Group("core", 1), *(Group(f"leaf-{i}", 0, 0, gpus, (4.0,) * gpus, 50e9) for i in range(len(sizes)))]
    rack = np.repeat(np.arange(len(sizes)), sizes)
    hosts = tuple(Host(f"t{h}", 0, 1 + int(r)) for h, r in enumerate(rack))
    islands = tuple(Island(f"rack-{r}", tuple(np.flatnonzero(rack == r).tolist()), 9e11) for r in range(len(sizes)))
    return Fabric(
        "nvl", "ecmp", (kind,), hosts, (Tier("leaf", 10), Tier("core", 20)), tuple(groups), islands,
        unusable_gpus=broken,
    )  # fmt: skip


def job(ranks: int, ep: int, tp: int = 1, stride: int = 1, dp_bytes: float = 1e8) -> Traffic:
    """All-to-all in groups of `ep` ranks, `stride` apart; rings of `tp`; a heavy ring over everything."""
    rank = np.arange(ranks)
    group = rank // (ep * stride) * stride + rank % stride
    flows = [(a, b, 1e8, 0) for a in rank for b in rank if a != b and group[a] == group[b]]
    flows += [(r, r // tp * tp + (r + 1) % tp, 1e9, 1) for r in rank if tp > 1]
    flows += [(r, (r + ep) % ranks, dp_bytes, 2) for r in rank]
    src, dst, size, axis = (np.array(column) for column in zip(*flows, strict=True))
    return Traffic(
        ranks, ("ep", "tp", "dp"), src.astype(np.int32), dst.astype(np.int32), size.astype(float),
        axis.astype(np.int8), np.ones(3), np.zeros(3),
    )  # fmt: skip


def pieces(fabric: Fabric, gpu: IntArray, label: IntArray) -> int:
    """Most islands that a set of ranks is on."""
    return max(len(set(fabric.gpu_island[gpu[label == k]].tolist())) for k in range(int(label.max()) + 1))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    ep=st.sampled_from([2, 4, 6, 8, 12]),
    broken=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=6),
    objective=st.sampled_from(OBJECTIVES),
    freedom=st.sampled_from([Freedom.GPUS, Freedom.RANKS]),
    spare=st.integers(0, 2),
    dp_bytes=st.sampled_from([1e6, 1e12]),
)
def test_groups_that_fit_are_never_split(
    sizes: list[int], ep: int, broken: set[tuple[int, int]], objective: str, freedom: Freedom, spare: int,
    dp_bytes: float,
) -> None:  # fmt: skip
    fabric = racks(sizes, frozenset((h, g) for h, g in broken if h < sum(sizes)))
    room = np.bincount(fabric.gpu_island[fabric.gpu_free])
    groups = int((room // ep).sum()) - spare
    if groups < 1:
        return
    traffic = job(groups * ep, ep, tp=2, dp_bytes=dp_bytes)
    problem = RankProblem(fabric, traffic, Capability(freedom), objective=objective)
    found = solve_ranks(problem, QUICK)
    assert len(set(found.gpu.tolist())) == traffic.ranks
    assert pieces(fabric, found.gpu, np.arange(traffic.ranks) // ep) == 1
    assert Whole(problem).notes(found.gpu) == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_strided_groups_need_a_launcher_that_maps_ranks(objective: str) -> None:
    # groups of ranks 0, 2, 4 ... and 1, 3, 5 ...; each rack holds one, on hosts that consecutive ranks cannot share
    fabric, traffic = racks([2, 2]), job(16, 8, stride=2)
    able = RankProblem(fabric, traffic, objective=objective)
    found = solve_ranks(able, QUICK)
    assert pieces(fabric, found.gpu, np.arange(16) % 2) == 1
    unable = RankProblem(fabric, traffic, Capability(Freedom.GPUS), objective=objective)
    gpu = solve_ranks(unable, QUICK).gpu
    host = fabric.gpu_host[gpu]
    assert (np.diff(host) != 0).sum() + 1 == len(set(host.tolist()))
    assert "launchers" in Whole(unable).notes(gpu)[0]


def test_the_reason_is_given_where_groups_must_be_split() -> None:
    fabric = racks([3, 3, 3])
    problem = RankProblem(fabric, job(32, 8))
    assert Whole(problem).axes == ()
    (note,) = Whole(problem).notes(solve_ranks(problem, QUICK).gpu)
    assert "of 4 ep groups (8 ranks) are split over NVLink domains" in note
    assert "hold 3 of them whole (3 x 12 usable GPUs)" in note
    wide = RankProblem(fabric, job(32, 16))
    (note,) = Whole(wide).notes(solve_ranks(wide, QUICK).gpu)
    assert note == "ep groups of 16 ranks span NVLink domains: the largest has 12 usable GPUs"


def test_tensor_groups_are_kept_where_expert_groups_cannot_be() -> None:
    fabric = racks([3, 3, 3])
    traffic = job(32, 8, tp=4)
    problem = RankProblem(fabric, traffic)
    assert [traffic.axes[a] for a in Whole(problem).axes] == ["tp"]
    found = solve_ranks(problem, QUICK)
    assert pieces(fabric, found.gpu, np.arange(32) // 4) == 1


def test_tensor_groups_on_hosts_with_broken_gpus() -> None:
    # six of eight GPUs are left on two hosts: filling them one after the other cuts a group of four in two
    kind = HostType("box", 8, tuple(Nic(i, 50e9, i) for i in range(8)), 8, 450e9)
    hosts = tuple(Host(f"h{i}", 0, 1) for i in range(4))
    groups = (Group("core", 1), Group("leaf", 0, 0, 8, (4.0,) * 8, 50e9))
    broken = frozenset({(0, 1), (0, 3), (1, 0), (1, 7)})
    fabric = Fabric("f", "ecmp", (kind,), hosts, (Tier("leaf", 10), Tier("core", 20)), groups, unusable_gpus=broken)
    found = solve_ranks(RankProblem(fabric, job(24, 4)), QUICK)
    assert pieces(fabric, found.gpu, np.arange(24) // 4) == 1
    assert Whole(RankProblem(fabric, job(28, 4))).axes == ()


def test_sets_of_ranks_are_numbered_by_their_first_rank() -> None:
    traffic = job(8, 4, stride=2)
    assert together(traffic, [0]).tolist() == [0, 1] * 4
    assert together(replace(traffic, bytes=np.zeros(len(traffic.bytes))), [0]).tolist() == list(range(8))
