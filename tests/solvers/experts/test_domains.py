"""Copies on different failure domains. Loads are synthetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from topoplan.errors import InfeasibleError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts import ExpertProblem, place
from topoplan.solvers.experts.domains import domains_of, experts_lost, place_across, spread_copies, worst_loss

Loads = Callable[..., FloatArray]
Problems = Callable[..., ExpertProblem]
HOST = np.repeat(np.arange(4), 8)


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
