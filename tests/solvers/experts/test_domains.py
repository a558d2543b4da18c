"""Copies on different failure domains. Loads are synthetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts import Across, ExpertProblem, Routes, place, trade_off
from topoplan.solvers.experts.domains import domains_of, experts_lost, spread_copies, worst_loss

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
HOST = np.repeat(np.arange(4), 8)


def place_across(problem: ExpertProblem, domain: IntArray, least: int) -> ExpertPlacement:
    return place(replace(problem, across=Across(domain, least)))


@pytest.mark.parametrize("kind", ["lognormal", "zipf", "hot"])
@pytest.mark.parametrize(("least", "slots"), [(2, 512), (2, 544), (3, 800), (4, 1024)])
def test_every_expert_survives_the_loss_of_hosts(
    loads: Loads, problem: Problems, kind: str, least: int, slots: int
) -> None:
    load = loads(kind, layers=3)
    placement = place_across(problem(load, 32, slots, hosts=4), HOST, least)
    held = placement.physical_to_logical_map.reshape(3, 4, -1)  # slots of each host
    for layer in held:
        hosts = np.array([[e in set(host) for host in layer.tolist()] for e in range(256)]).sum(1)
        assert hosts.min() >= least
    assert (domains_of(placement, HOST) >= least).all()
    assert placement.duplicates == 0
    assert worst_loss(placement, HOST) == 0
    assert placement.max_load is not None
    assert placement.lower_bound is not None
    assert (placement.max_load >= placement.lower_bound * (1 - 1e-12)).all()


@pytest.mark.parametrize("kind", ["lognormal", "zipf"])
def test_a_spare_slot_a_gpu_makes_the_rule_nearly_free(loads: Loads, problem: Problems, kind: str) -> None:
    load = loads(kind, layers=3)
    placement = place_across(problem(load, 32, 544, hosts=4), HOST, 2)
    assert placement.balancedness(load).min() > 0.998


def test_unequal_hosts_dead_gpus_and_layers(loads: Loads) -> None:
    load = loads("lognormal", layers=2, experts=24)
    host = np.array([0, 0, 0, 1, 1, 2])
    problem = ExpertProblem(load, 6, np.array([9, 9, 9, 8, 8, 15]), host=host, dead=(0,))
    placement = place_across(problem, host, 2)
    assert not experts_lost(placement, host).any()
    assert (placement.slot_gpu > 0).all()


def test_too_few_domains_or_slots_are_named() -> None:
    load = np.ones((1, 12))
    with pytest.raises(InfeasibleError, match="need 3 hosts; the experts' GPUs are on 2"):
        place_across(ExpertProblem(load, 4, 40, host=np.array([0, 0, 1, 1])), np.array([0, 0, 1, 1]), 3)
    with pytest.raises(InfeasibleError, match="need 24 slots; there are 20"):
        place_across(ExpertProblem(load, 4, 20, host=np.array([0, 0, 1, 1])), np.array([0, 0, 1, 1]), 2)
    # 24 slots, but 16 of them on one host, where four would be second copies
    problem = ExpertProblem(load, 2, np.array([16, 8]), host=np.array([0, 1]))
    with pytest.raises(InfeasibleError, match="there are 20 that can be used"):
        place_across(problem, np.array([0, 1]), 2)


def test_copies_go_to_the_heaviest_replicas() -> None:
    assert spread_copies(np.array([9.0, 1, 1]), 9, 2, 4).tolist() == [4, 3, 2]


def test_worst_loss_counts_experts_of_one_domain_only(problem: Problems, loads: Loads) -> None:
    placement = ExpertPlacement(4, np.array([[0, 1, 2, 0, 3, 3, 4, 5]]))
    assert worst_loss(placement, np.array([0, 0, 1, 1])) == 3  # 3, 4 and 5; host 0 alone holds 1 and 2 and 0
    assert experts_lost(placement, np.array([0, 0, 1, 1])).tolist() == [6]
    plain = place(problem(loads("lognormal", layers=1), 32, 288, hosts=4))
    assert worst_loss(plain, HOST) > 30


# ---- with few moves, and on the network ------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 30, 200])
def test_few_moves_keep_copies_apart(loads: Loads, problem: Problems, most: int) -> None:
    load = loads("lognormal", layers=2)
    old = place_across(problem(load, 32, 544, hosts=4), HOST, 2)
    now = load * np.random.default_rng(1).lognormal(0, 0.3, load.shape)
    asked = replace(problem(now, 32, 544, hosts=4), previous=old, max_moves=most, across=Across(HOST, 2))
    new = place(asked)
    assert (domains_of(new, HOST) >= 2).all()
    assert (new.physical_to_logical_map != old.physical_to_logical_map).sum() <= most
    assert (new.balancedness(now) >= old.balancedness(now) - 1e-12).all()
    if most == 200:
        assert new.balancedness(now).mean() > old.balancedness(now).mean() + 0.02


def test_a_placement_without_the_rule_is_changed_as_far_as_the_rule_needs(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", layers=1)
    old = place(problem(load, 32, 544, hosts=4))
    assert experts_lost(old, HOST).any()
    asked = replace(problem(load, 32, 544, hosts=4), previous=old, across=Across(HOST, 2), max_moves=200)
    new = place(asked)
    assert not experts_lost(new, HOST).any()
    with pytest.raises(InfeasibleError, match="slots have to move"):
        place(replace(asked, max_moves=3))


def fired(load: FloatArray, tokens: int = 1500) -> Routes:
    """Tokens that choose six experts by how popular they are."""
    rng = np.random.default_rng(0)
    score = np.log(load)[:, None] + rng.gumbel(size=(len(load), tokens, load.shape[1]))
    return Routes(np.argsort(-score, -1)[..., :6], rng.random(tokens))


def test_a_routing_trace_keeps_copies_apart(loads: Loads, problem: Problems) -> None:
    load = loads("lognormal", layers=1, experts=64)
    routes, host = fired(load), np.repeat(np.arange(4), 4)
    asked = problem(routes.counts(64), 16, 144, hosts=4, routes=routes, across=Across(host, 2))
    found, free = place(asked), place(replace(asked, across=None))
    assert not experts_lost(found, host).any()
    assert experts_lost(free, host).any()
    assert found.dispatch is not None
    assert found.balancedness(asked.load).mean() > 0.97
    for way in trade_off(asked):
        assert not experts_lost(way.placement, host).any()
    drifted = fired(load * np.random.default_rng(5).lognormal(0, 0.3, load.shape))
    again = replace(asked, load=drifted.counts(64), routes=drifted, previous=found, max_moves=14)
    new = place(again)
    assert not experts_lost(new, host).any()
    assert (new.physical_to_logical_map != found.physical_to_logical_map).sum() <= 14
    assert new.balancedness(again.load).mean() >= found.balancedness(again.load).mean()


def test_weights_are_spread_over_copies_that_are_kept_apart(loads: Loads, problem: Problems) -> None:
    load = loads("hot", layers=2)
    asked = problem(load, 32, 544, hosts=4, across=Across(HOST, 2))
    even, weighted = place(asked), place(replace(asked, weighted=True))
    assert even.max_load is not None
    assert weighted.max_load is not None
    assert (weighted.max_load <= even.max_load * (1 + 1e-9)).all()
    assert not experts_lost(weighted, HOST).any()


def test_rules_that_contradict_each_other_are_named(loads: Loads, problem: Problems) -> None:
    with pytest.raises(InfeasibleError, match="2 copies are to be on different hosts"):
        problem(loads("lognormal", layers=1), 32, 544, hosts=4, groups=8, across=Across(HOST, 2))
    with pytest.raises(InputError, match="of 32 GPUs, 3 have a failure domain"):
        problem(loads("lognormal", layers=1), 32, 544, hosts=4, across=Across(HOST[:3], 2))
