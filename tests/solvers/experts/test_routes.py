"""Placing by a routing trace: visits counted one by one, clusters found, balance and traffic on other tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import ExpertProblem, Routes, place, remote_hosts, trade_off
from topoplan.solvers.experts.homes import choose_homes, spread
from topoplan.solvers.experts.routes import Visits, source_loads, source_shares

Loads = Callable[..., FloatArray]
GPUS, HOSTS, EXPERTS, GROUPS = 16, 4, 64, 8
HOST = np.repeat(np.arange(HOSTS), GPUS // HOSTS)


def trace(tokens: int, seed: int, layers: int = 1) -> tuple[IntArray, FloatArray]:
    """Tokens that choose 4 of 8 groups of experts, then 6 experts of those; experts differ in how likely they are."""
    rng = np.random.default_rng(seed)
    taste = np.random.default_rng(seed // 100).normal(0, 1, (layers, 1, EXPERTS))
    score = taste + rng.gumbel(size=(layers, tokens, EXPERTS))
    best = np.sort(score.reshape(layers, tokens, GROUPS, -1), -1)[..., -2:].sum(-1)
    rank = np.argsort(np.argsort(-best, -1), -1)
    score[np.repeat(rank, EXPERTS // GROUPS, -1) >= 4] = -np.inf
    return np.argsort(-score, -1)[..., :6], rng.random(tokens)


def routes(tokens: int = 4000, seed: int = 0, layers: int = 1) -> Routes:
    return Routes(*trace(tokens, seed, layers))


def whole_group_remote(trace: Routes, load: FloatArray) -> float:
    placement = place(ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, groups=GROUPS))
    return float(remote_hosts(placement, trace, HOST).mean())


def count_remote(placement: ExpertPlacement, ids: IntArray, node: IntArray, seed: int = 1) -> float:
    """Remote hosts a token, by drawing a copy for every dispatch of every token of layer 0."""
    rng, slot_host, away = np.random.default_rng(seed), HOST[placement.slot_gpu], 0
    row = placement.physical_to_logical_map[0]
    for token, n in zip(ids, node, strict=True):
        share = placement.node_shares(int(n))[0] if placement.dispatch is not None else placement.shares()[0]
        visited = set()
        for e in token:
            slots = np.flatnonzero(row == e)
            visited.add(int(slot_host[rng.choice(slots, p=share[slots] / share[slots].sum())]))
        away += len(visited - {int(n)})
    return away / len(ids)


def test_expected_remote_hosts_match_counting() -> None:
    here = routes(1500)
    load = here.counts(EXPERTS)
    placement = place(ExpertProblem(load=load, gpus=GPUS, slots=96, host=HOST))
    counted = count_remote(placement, here.expert_ids[0], here.nodes(HOST))
    assert remote_hosts(placement, here, HOST)[0] == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("seed", [0, 100])
def test_better_than_whole_groups_on_both_counts_on_other_tokens(seed: int) -> None:
    here, other = routes(6000, seed, 2), routes(6000, seed + 1, 2)
    load = here.counts(EXPERTS)
    problem = ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, routes=here)
    soft, whole = place(problem), place(ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, groups=GROUPS))
    assert soft.dispatch is not None
    assert soft.dispatch.shape == (HOSTS, 2, 80)
    assert soft.duplicates == 0
    assert soft.balancedness(load).min() > 0.97
    assert soft.balancedness(load).mean() > whole.balancedness(load).mean()
    assert soft.balancedness(other.counts(EXPERTS)).mean() > whole.balancedness(other.counts(EXPERTS)).mean()
    assert remote_hosts(soft, other, HOST).mean() <= remote_hosts(whole, other, HOST).mean() * 1.002


def test_less_balance_buys_less_traffic() -> None:
    here = routes(4000, 7)
    load = here.counts(EXPERTS)
    remote, balance = [], []
    for least in (0.995, 0.95, 0.85):
        problem = ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, routes=here, min_balance=least)
        placement = place(problem)
        balance.append(float(placement.balancedness(load).mean()))
        remote.append(float(remote_hosts(placement, here, HOST).mean()))
        assert balance[-1] >= least - 0.005
    assert remote[0] > remote[1] > remote[2]
    assert remote[2] < whole_group_remote(here, load)


@pytest.mark.parametrize("order", ["as numbered", "shuffled"])
def test_homes_find_experts_that_fire_together(order: str) -> None:
    here = routes(4000, 3)
    ids = here.expert_ids[0].astype(np.int64)
    if order == "shuffled":
        ids = np.random.default_rng(0).permutation(EXPERTS)[ids]
    node = here.nodes(HOST)
    visits = Visits(ids, node, np.full(HOSTS, 1 / HOSTS), EXPERTS, True)
    load = np.bincount(ids.ravel(), minlength=EXPERTS).astype(float)
    homes = choose_homes(visits, load, np.full(HOSTS, 20), np.full(HOSTS, 4.0))
    assert (np.bincount(homes.host) == EXPERTS // HOSTS).all()
    in_order = visits.of_homes(np.repeat(np.arange(HOSTS), EXPERTS // HOSTS))[1]
    assert homes.balance > 0.85
    assert homes.remote < (0.98 if order == "shuffled" else 1.04) * in_order


def test_homes_go_by_the_slots_of_a_host() -> None:
    assert spread(64, np.array([40, 20, 20])).tolist() == [32, 16, 16]
    assert spread(7, np.array([3, 3, 3])).tolist() == [3, 2, 2]
    assert spread(8, np.array([1, 10])).sum() == 8
    assert spread(8, np.array([1, 10]))[0] <= 1


def test_sources_count_as_alike_unless_the_trace_says_otherwise() -> None:
    ids, source = trace(4000, 5)
    node = (source * HOSTS).astype(np.int64)
    load = np.bincount(ids[0].ravel(), minlength=EXPERTS).astype(float)
    share = source_shares(node, HOST)
    assert share == pytest.approx([1 / HOSTS] * HOSTS)
    by_source, alike = source_loads(ids[0], node, load, share)
    assert alike
    assert by_source == pytest.approx(np.outer(share, load))
    local = np.where(ids[0].min(1) < 8, 0, node)  # what fires the first experts all comes from host 0
    assert source_shares(local, HOST)[0] > 0.3
    by_source, alike = source_loads(ids[0], local, load, source_shares(local, HOST))
    assert not alike
    assert by_source[0, 0] > 0.7 * load[0]
    assert by_source.sum(0) == pytest.approx(load)


def test_local_tokens_are_served_locally() -> None:
    ids, _ = trace(4000, 9)
    home = ids[0][:, 0] // (EXPERTS // HOSTS)  # tokens start where most of what they fire could live
    here = Routes(ids, (home + 0.5) / HOSTS)
    load = here.counts(EXPERTS)
    placed = place(ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, routes=here))
    blind = place(ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST))
    assert remote_hosts(placed, here, HOST)[0] < 0.9 * remote_hosts(blind, here, HOST)[0]


def test_uneven_slots_speeds_and_dead_gpus() -> None:
    here = routes(2000)
    load = here.counts(EXPERTS)
    speed = np.where(np.arange(GPUS) % 2, 1.0, 1.25)
    problem = ExpertProblem(load=load, gpus=GPUS, slots=86, host=HOST, speed=speed, dead=(3,), routes=here)
    placement = place(problem)
    assert placement.copies.min() == 1
    assert 3 not in placement.slot_gpu
    assert placement.max_load is not None
    assert placement.lower_bound is not None
    assert placement.max_load[0] <= placement.lower_bound[0] * 1.03


def test_no_further_copies_still_places() -> None:
    here = routes(1000)
    placement = place(ExpertProblem(load=here.counts(EXPERTS), gpus=GPUS, slots=EXPERTS, host=HOST, routes=here))
    assert (placement.copies == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expert_ids": np.zeros((1, 0, 6), np.int16), "source": np.zeros(0)}, "no tokens"),
        ({"expert_ids": np.zeros((2, 6), np.int16)}, "expert_ids have shape"),
        ({"expert_ids": np.zeros((1, 4, 6))}, "expert_ids have shape"),
        ({"source": np.zeros(3)}, "4 tokens but 3 sources"),
        ({"source": np.array([0, 0.5, 1.0, 0.2])}, "source is not in"),
        ({"source": np.array([0, np.nan, 0.1, 0.2])}, "source is not in"),
        ({"expert_ids": np.full((1, 4, 6), -1)}, "layer 0: the routing trace names a negative expert"),
    ],
)
def test_bad_traces_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"expert_ids": np.zeros((1, 4, 6), np.int16), "source": np.zeros(4)}
    with pytest.raises(InputError, match=message):
        Routes(**(good | change))


def test_a_trace_of_another_model_is_refused() -> None:
    here = routes(100, layers=2)
    load = np.ones((2, EXPERTS - 1))
    with pytest.raises(InputError, match=f"layer 0: the routing trace names expert {EXPERTS - 1}"):
        ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, routes=here)
    with pytest.raises(InputError, match="the routing trace has 2 layers, the load 1"):
        ExpertProblem(load=np.ones((1, EXPERTS)), gpus=GPUS, slots=80, host=HOST, routes=here)


def test_trade_off_runs_from_balance_to_traffic() -> None:
    here = routes(3000, 11)
    load = here.counts(EXPERTS)
    points = trade_off(ExpertProblem(load=load, gpus=GPUS, slots=80, host=HOST, routes=here))
    assert len(points) >= 3
    for first, second in pairwise(points):
        assert first.balance > second.balance
        assert first.remote > second.remote
    for point in points:
        assert point.placement.balancedness(load).mean() == pytest.approx(point.balance, rel=1e-6)
        assert remote_hosts(point.placement, here, HOST).mean() == pytest.approx(point.remote, rel=0.01)


def drifted(tokens: int, layers: int) -> tuple[Routes, Routes]:
    """Two traces of the same model whose tastes differ a little."""
    first = routes(tokens, 21, layers)
    ids, source = trace(tokens, 22, layers)
    swap = np.arange(EXPERTS)
    swap[:6] = swap[5::-1]  # the first experts trade places
    return first, Routes(swap[ids], source)


def moved(old: ExpertPlacement, new: ExpertPlacement) -> int:
    return int((old.physical_to_logical_map != new.physical_to_logical_map).sum())


@pytest.mark.parametrize("most", [0, 4, 12])
def test_few_moves_with_a_trace(most: int) -> None:
    before, after = drifted(3000, 2)
    problem = ExpertProblem(load=before.counts(EXPERTS), gpus=GPUS, slots=80, host=HOST, routes=before)
    old, now = place(problem), after.counts(EXPERTS)
    new = place(replace(problem, load=now, routes=after, previous=old, max_moves=most))
    assert moved(old, new) <= most
    stale = old.balancedness(now).mean()
    assert new.balancedness(now).mean() >= stale
    if most == 12:
        assert moved(old, new) > 0
        assert new.balancedness(now).mean() > stale + 0.02


def test_the_same_trace_again_moves_nothing() -> None:
    here = routes(2000, 31, 2)
    problem = ExpertProblem(load=here.counts(EXPERTS), gpus=GPUS, slots=80, host=HOST, routes=here)
    old = place(problem)
    again = place(replace(problem, previous=old))
    assert moved(old, again) == 0
    assert again.max_load == pytest.approx(old.max_load)


def test_lost_experts_come_back_with_a_trace() -> None:
    here = routes(2000, 41)
    problem = ExpertProblem(load=here.counts(EXPERTS), gpus=GPUS, slots=80, host=HOST, routes=here)
    old = place(problem)
    gone = old.physical_to_logical_map[0][old.slot_gpu == 2]
    lone = int((old.copies[0][gone] == 1).sum())
    new = place(replace(problem, slots=80, dead=(2,), previous=old, max_moves=lone + 3))
    assert new.copies.min() == 1
    with pytest.raises(InfeasibleError, match=f"{lone} slots have to move"):
        place(replace(problem, slots=80, dead=(2,), previous=old, max_moves=lone - 1))
