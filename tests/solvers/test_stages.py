"""Layers to stages: exact against enumeration, virtual stages, and stages that end up beside each other."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel, stage_of_rank
from topoplan.model.presets import PRESETS
from topoplan.planning.solve import job_traffic, solve
from topoplan.planning.step import stages_of
from topoplan.solvers.stages import layer_costs, rank_costs, split_layers


def _brute(cost: Sequence[float], stages: int) -> float:
    """Least possible cost of the costliest stage, over all cuts."""
    ends = itertools.combinations(range(1, len(cost)), stages - 1)
    return min(max(sum(cost[a:b]) for a, b in itertools.pairwise((0, *cut, len(cost)))) for cut in ends)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9), st.integers(1, 9))
def test_no_split_is_better(cost: list[float], stages: int) -> None:
    if stages > len(cost):
        with pytest.raises(InfeasibleError, match="cannot fill"):
            split_layers(np.array(cost), stages)
        return
    found = split_layers(np.array(cost), stages)
    assert found.first[0] == 0
    assert found.first[-1] == len(cost)
    assert all(b > a for a, b in itertools.pairwise(found.first))
    assert max(found.cost) == pytest.approx(_brute(cost, stages))
    sums = [sum(cost[a:b]) for a, b in itertools.pairwise(found.first)]
    assert found.cost == pytest.approx(sums)


def _brute_ranks(cost: Sequence[float], pp: int, vpp: int) -> float:
    """Least possible cost of the costliest rank, over all cuts into virtual stages."""
    least = float("inf")
    for cut in itertools.combinations(range(1, len(cost)), pp * vpp - 1):
        stage = [sum(cost[a:b]) for a, b in itertools.pairwise((0, *cut, len(cost)))]
        least = min(least, max(sum(stage[r::pp]) for r in range(pp)))
    return least


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from([1.0, 2.5]), st.floats(0.1, 9)), min_size=2, max_size=10),
    st.integers(1, 4),
    st.integers(2, 4),
)
def test_no_split_into_virtual_stages_is_better(cost: list[float], pp: int, vpp: int) -> None:
    if pp * vpp > len(cost):
        return
    found = split_layers(np.array(cost), pp, vpp)
    assert (found.first[0], found.first[-1]) == (0, len(cost))
    assert all(b > a for a, b in itertools.pairwise(found.first))
    assert found.cost == pytest.approx([sum(cost[a:b]) for a, b in itertools.pairwise(found.first)])
    assert rank_costs(found, pp).max() == pytest.approx(_brute_ranks(cost, pp, vpp))


def test_virtual_stages_are_summed_by_rank() -> None:
    # stages as equal as whole layers allow do not make ranks equal: each kind of remainder adds up on some rank
    model = PRESETS["deepseek-v3"]
    cost = layer_costs(model, 4096)
    together, alone = (rank_costs(split, 4).max() for split in (split_layers(cost, 4, 3), split_layers(cost, 12)))
    assert together < 0.9 * alone
    assert together < 1.03 * cost.sum() / 4


def test_many_kinds_of_layers_are_no_worse_than_single_stages() -> None:
    cost = np.random.default_rng(0).uniform(1, 3, 40)
    best = rank_costs(split_layers(cost, 4, 3), 4).max()
    assert best < rank_costs(split_layers(cost, 12), 4).max()


def test_the_output_matrix_counts() -> None:
    model = PRESETS["deepseek-v3"]
    cost = layer_costs(model, 4096)
    assert cost[-1] - cost[-2] == pytest.approx(2 * model.vocabulary * model.hidden)
    assert cost[0] != cost[10]  # dense and expert layers differ


def test_a_costly_last_layer_gets_fewer_companions() -> None:
    found = split_layers(np.array([1.0] * 11 + [4.0]), 4)
    assert max(found.cost) == 4
    assert found.first[-1] - found.first[-2] <= 2


@pytest.mark.parametrize("vpp", [1, 2, 3])
def test_virtual_stages_go_round_the_pipeline(vpp: int) -> None:
    model = PRESETS["gpt-3-175b"]
    job = Job("j", 16, model, Parallel(tp=2, pp=4, dp=2, vpp=vpp), batch=Batch(2048, 1, 8))
    stages = stages_of(job)
    assert stages is not None
    assert len(stages.cost) == 4 * vpp
    assert sum(stages.cost) == pytest.approx(layer_costs(model, 2048).sum())
    traffic = job_traffic(job, _fabric([4, 4], 2))
    pp = traffic.axes.index("pp")
    flows = [i for i in traffic.by_axis[pp]]  # noqa: C416 - an array of indices
    stage = stage_of_rank(job)
    assert stage is not None
    steps = {((int(stage[traffic.src[i]]), int(stage[traffic.dst[i]]))) for i in flows}
    chain = {(a, a + 1) for a in range(3)} | {(a + 1, a) for a in range(3)}
    # with virtual stages the last rank hands on to the first
    assert steps == (chain | {(3, 0), (0, 3)} if vpp > 1 else chain)
    first = [i for i in flows if (stage[traffic.src[i]], stage[traffic.dst[i]]) == (0, 1)]
    assert traffic.bytes[first].sum() == pytest.approx(vpp * 4 * 8 / 2 * 2048 * model.hidden * 2)


def _fabric(leaves: list[int], gpus: int, per_pod: int = 2) -> Fabric:
    kind = HostType("box", gpus, tuple(Nic(i, 50e9, i) for i in range(gpus)), gpus, 450e9)
    pods = -(-len(leaves) // per_pod)
    groups = [Group("core", 2), *(Group(f"pod-{p}", 1, 0, gpus, (2.0,) * gpus, 50e9) for p in range(pods))]
    groups += [Group(f"leaf-{k}", 0, 1 + k // per_pod, gpus, (4.0,) * gpus, 50e9) for k in range(len(leaves))]
    hosts = [Host(f"n{i}", 0, 1 + pods + int(k)) for i, k in enumerate(np.repeat(np.arange(len(leaves)), leaves))]
    tiers = (Tier("leaf", 10), Tier("pod", 20), Tier("core", 40))
    return Fabric("clean", "ecmp", (kind,), tuple(hosts), tiers, tuple(groups))


@pytest.mark.parametrize("objective", ["exposed_ms", "hop_bytes"])
def test_neighbouring_stages_share_the_closest_group(objective: str) -> None:
    # 8 stages of 2 hosts on leaves of 4 in pods of 8: stages 0-1, 2-3 ... on one leaf, 0-3 and 4-7 in one pod
    from topoplan.planning.solve import SolveOptions

    model = ModelShape("tiny", 16, 1024, 8, 8, 128, 4096, 1000)
    job = Job("j", 64, model, Parallel(tp=4, pp=8, dp=2), batch=Batch(1024, 1, 32))
    fabric = _fabric([4, 4, 4, 4], 4)
    plan = solve(job, fabric, SolveOptions(objective=objective))
    stage = stage_of_rank(job)
    assert plan.placement is not None
    assert stage is not None
    for tier, together in ((0, 2), (1, 4)):
        group = fabric.host_ancestor[tier][plan.placement.host]
        for first in range(0, 8, together):
            inside = group[(stage >= first) & (stage < first + together)]
            assert len(set(inside.tolist())) == 1, (objective, tier, first)
