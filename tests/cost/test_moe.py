"""Tokens on links under each dispatch rule: against brute force, closed forms, and DeepEP's published times.

Loads and traces are synthetic and experts independent.
"""

from __future__ import annotations

import numpy as np
import pytest

from topoplan.cost.moe import RULES, Where, gpu_share, remote_hosts, spread, traced_visits
from topoplan.cost.moe_links import Site, busiest, flows, loads
from topoplan.cost.moe_rule import ruled_visits
from topoplan.cost.moe_time import (
    Rates,
    expected_largest,
    expert_seconds,
    extreme,
    noise_floor,
    phase_seconds,
    shown_balance,
    slowest_expert_seconds,
)
from topoplan.errors import InputError
from topoplan.model.demand import visit_probability
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Routing
from topoplan.model.presets import PRESETS

HOST = np.repeat([0, 1, 2], 2)


def small() -> ExpertPlacement:
    """Eight experts in 12 slots on 6 GPUs of 3 hosts; expert 0 has three copies, 1 and 2 two."""
    p2l = np.array([[0, 1, 2, 3, 0, 4, 5, 1, 0, 6, 2, 7]])
    rng = np.random.default_rng(1)
    slot = np.stack([[[rng.choice(np.flatnonzero(p2l[0] == e)) for e in range(8)]] for _ in range(6)])
    return ExpertPlacement(6, p2l, dispatch=rng.random((3, 1, 12)) + 0.1, dispatch_slot=slot)


def chosen_slots(placement: ExpertPlacement, rule: str, gpu: int, expert: int) -> tuple[list[int], list[float]]:
    """Slots that a source may use and their weights, by the words of each rule."""
    slots = [s for s in range(12) if placement.physical_to_logical_map[0, s] == expert]
    assert placement.dispatch is not None
    assert placement.dispatch_slot is not None
    if rule == "slot":
        return [int(placement.dispatch_slot[gpu, 0, expert])], [1.0]
    if rule == "weights":
        return slots, [float(placement.dispatch[HOST[gpu], 0, s]) for s in slots]
    if rule == "nearest":
        own, near = [s for s in slots if s // 2 == gpu], [s for s in slots if HOST[s // 2] == HOST[gpu]]
        slots = own or near or slots
    return slots, [1.0] * len(slots)


@pytest.mark.parametrize("rule", RULES)
def test_visits_are_what_simulated_tokens_do(rule: str) -> None:
    placement, rng = small(), np.random.default_rng(2)
    source = np.array([0, 1, 2, 5, 5])
    ids = np.array([rng.choice(8, 3, replace=False) for _ in source])
    visits = traced_visits(placement, 0, rule, Where(HOST, HOST), ids, source)
    copies, gpu, host = np.zeros((6, 6)), np.zeros((6, 6)), np.zeros((6, 3))
    runs = 4000
    for tokens, g in zip(ids, source, strict=True):
        picks = []
        for expert in tokens:
            slots, weight = chosen_slots(placement, rule, int(g), int(expert))
            picks.append(rng.choice(slots, runs, p=np.array(weight) / sum(weight)) // 2)
        served = np.array(picks)
        for d in range(6):
            copies[g, d] += (served == d).sum() / runs
            gpu[g, d] += (served == d).any(0).mean()
        for h in range(3):
            host[g, h] += (HOST[served] == h).any(0).mean()
    for found, simulated in ((visits.copies, copies), (visits.gpu, gpu), (visits.host, host)):
        assert found * len(source) == pytest.approx(simulated, abs=0.03)
    away = host.sum() - host[np.arange(6), HOST].sum()
    assert remote_hosts(visits, HOST) == pytest.approx(away / len(source), abs=0.03)


@pytest.mark.parametrize("hosts", [2, 4, 8])
def test_equal_loads_without_groups_are_the_hypergeometric_formula(hosts: int) -> None:
    placement = ExpertPlacement(8, np.arange(64)[None, :])
    host = np.arange(8) * hosts // 8
    routing = Routing(64, 6)
    visits = ruled_visits(placement, 0, "even", Where(host, host), np.ones(64), routing)
    assert remote_hosts(visits, host) == pytest.approx((hosts - 1) * visit_probability(routing, hosts))
    assert visits.copies.sum() == pytest.approx(6)


def test_a_hot_expert_is_not_missed() -> None:
    # 9 tokens of 10 choose expert 0; the others choose two of 63, seven of which are on its host
    load = np.full(64, 1.1 / 63)
    load[0] = 0.9
    host = np.arange(8)
    visits = ruled_visits(
        ExpertPlacement(8, np.arange(64)[None, :]), 0, "even", Where(host, host), load, Routing(64, 2)
    )
    assert visits.host[:, 0].sum() == pytest.approx(0.9 + 0.1 * (1 - 56 * 55 / (63 * 62)), abs=0.025)


def test_the_rule_comes_close_to_a_trace_of_group_limited_routing() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1, 64) + rng.gumbel(size=(6000, 64))
    group = np.sort(logits.reshape(-1, 8, 8), -1)[:, :, -2:].sum(-1)
    drawn = np.argsort(-group, 1)[:, :4]
    mask = np.full((6000, 8), -np.inf)
    np.put_along_axis(mask, drawn, 0, 1)
    ids = np.argpartition(-(logits + np.repeat(mask, 8, 1)), 8, 1)[:, :8]
    source, load = rng.integers(0, 8, 6000), np.bincount(ids.ravel(), minlength=64).astype(float)
    host = np.arange(8) // 2
    placement = ExpertPlacement(8, np.arange(64)[None, :])  # groups whole: the hardest case for the formula
    traced = traced_visits(placement, 0, "even", Where(host, host), ids, source)
    ruled = ruled_visits(placement, 0, "even", Where(host, host), load, Routing(64, 8, 8, 4))
    assert remote_hosts(ruled, host) == pytest.approx(remote_hosts(traced, host), rel=0.03)
    assert gpu_share(ruled) == pytest.approx(gpu_share(traced), rel=1e-9)


def fabric(hosts: int) -> Fabric:
    """H100 hosts, four to a leaf of eight rails, leaves under one core at 2:1."""
    kind = HostType("box", 8, tuple(Nic(i, 50e9, i) for i in range(8)), 8, 450e9)
    leaves = max(1, hosts // 4)
    groups = [Group("core", 1), *(Group(f"leaf{i}", 0, 0, 8, (2.0,) * 8, 50e9) for i in range(leaves))]
    return Fabric(
        "t", "adaptive", (kind,), tuple(Host(f"n{h}", 0, 1 + h // 4) for h in range(hosts)),
        (Tier("leaf", 10), Tier("core", 20)), tuple(groups),
    )  # fmt: skip


def even(hosts: int) -> tuple[Site, ExpertPlacement]:
    """256 experts in order on so many hosts."""
    site = Site(fabric(hosts), np.arange(8 * hosts))
    return site, ExpertPlacement(8 * hosts, np.arange(256)[None, :])


def test_normal_kernels_send_once_a_host_on_the_same_rail() -> None:
    site, placement = even(2)
    ids = np.array([[128, 129, 130, 144]])  # three experts on GPU 8, one on GPU 9 of the other host
    visits = traced_visits(placement, 0, "even", site.where, ids, np.array([1]))
    moved = flows(visits, site.where, "normal")
    assert np.argwhere(moved).tolist() == [[1, 9], [9, 8]]  # over rail 1, then on to GPU 8; GPU 9 has its own
    direct = flows(visits, site.where, "low-latency")
    assert {(int(g), int(d)): direct[g, d] for g, d in np.argwhere(direct)} == {(1, 8): 3.0, (1, 9): 1.0}


def test_direct_copies_leave_by_the_senders_own_nic_and_cross_rails_above_the_leaf() -> None:
    site, placement = even(2)
    visits = traced_visits(placement, 0, "even", site.where, np.array([[128]]), np.array([1]))
    found = loads(site, flows(visits, site.where, "low-latency"), "low-latency")
    assert np.flatnonzero(found.port[0]).tolist() == [1]
    assert np.flatnonzero(found.port[1]).tolist() == [8]
    assert found.uplink[0].sum() == 1  # rail 1 to rail 0
    same_rail = loads(site, flows(visits, site.where, "normal"), "normal")
    assert same_rail.uplink.sum() == 0
    assert busiest(site.fabric, same_rail).nic_s == pytest.approx(1 / 50e9)


# Dispatch and combine of DeepEP's low-latency kernels on H800 with 400 Gb/s: 128 tokens of 7168, top-8, FP8 and BF16
# (DeepEP README). The table's switches are 1:1, so uplinks are left out here.
@pytest.mark.parametrize(("ranks", "dispatch_us", "combine_us"), [(16, 118, 195), (32, 155, 273), (64, 173, 314)])
def test_low_latency_times_are_near_the_published_ones(ranks: int, dispatch_us: float, combine_us: float) -> None:
    site, placement = even(ranks // 8)
    visits = ruled_visits(placement, 0, "even", site.where, np.ones(256), Routing(256, 8))
    amount = flows(visits, site.where, "low-latency") * 128 * ranks * 7168
    for size, measured in ((1 + 4 / 128, dispatch_us), (2.0, combine_us)):
        link = busiest(site.fabric, loads(site, amount * size, "low-latency"))
        alone = type(link)(link.nic_bytes, link.nic_s, 0.0, 0.0, link.nvlink_bytes, link.nvlink_s)
        assert 1e6 * phase_seconds(alone) == pytest.approx(measured, rel=0.2)


def test_expert_time_counts_weights_and_tiles() -> None:
    placement, model = ExpertPlacement(2, np.array([[0, 1, 2, 3]])), PRESETS["deepseek-v3"]
    rate, speed = Rates(2e15, 3e12), np.ones(2)
    weight = 3 * 7168 * 2048
    few = expert_seconds(placement, 0, np.array([20.0, 20, 0, 20]), model, rate, speed)
    assert few == pytest.approx([2 * weight / 3e12, weight / 3e12], rel=1e-6)  # memory: a silent slot loads nothing
    many = expert_seconds(placement, 0, np.array([6400.0, 6400, 12800, 0]), model, rate, speed)
    assert many == pytest.approx([x * 128 * 2 * weight / 1.2e15 for x in (101, 100.5)], rel=1e-6)  # half a tile each


def test_expected_largest_of_unequal_values() -> None:
    rng = np.random.default_rng(1)
    mean, sigma = rng.uniform(9, 11, 20), rng.uniform(0, 1, 20)
    drawn = rng.normal(mean, sigma, (200_000, 20)).max(1).mean()
    assert expected_largest(mean, sigma) == pytest.approx(drawn, rel=2e-3)
    assert expected_largest(mean, np.zeros(20)) == pytest.approx(mean.max(), rel=1e-6)


def test_balance_that_a_batch_cannot_show_gains_little() -> None:
    placement, model, rate = ExpertPlacement(8, np.arange(8)[None]), PRESETS["deepseek-v3"], Rates(2e15, 3e12)

    def gain(tokens: float) -> float:
        """Share of the time that a GPU with 1 % more than the others costs."""
        off = np.full(8, tokens)
        off[0] *= 1.01
        even, uneven = (
            slowest_expert_seconds(placement, 0, t, model, rate, np.ones(8)) for t in (np.full(8, tokens), off)
        )
        return uneven / even - 1

    assert gain(1e7) == pytest.approx(0.01, rel=0.1)  # the noise of ten million tokens is 0.03 %
    assert 0 < gain(4000.0) < 0.004  # that of 4,000 is 1.6 %
    assert gain(30.0) == pytest.approx(0, abs=1e-6)  # weights are loaded, whatever comes


def test_noise_of_a_batch() -> None:
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 0.05, 32)
    for mean in (np.full(32, 500.0), share / share.sum() * 16000):
        simulated = 500 / rng.poisson(mean, (4000, 32)).max(1).mean()
        assert shown_balance(mean, 16000.0) == pytest.approx(simulated, abs=0.003)
    assert noise_floor(16000.0, 32) == pytest.approx(shown_balance(np.ones(32), 16000.0), abs=0.003)
    assert extreme(1) == 0


def test_a_rule_without_its_numbers_is_refused() -> None:
    bare = ExpertPlacement(2, np.array([[0, 1]]))
    for rule in ("weights", "slot", "fastest"):
        with pytest.raises(InputError, match=rule if rule != "weights" else "no dispatch weights"):
            spread(bare, 0, rule, np.zeros(2, np.int64))
