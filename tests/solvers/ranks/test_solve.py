"""Plans of small jobs on small fabrics: one GPU a rank, never worse than plain orders, the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.model.fabric import Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import OBJECTIVES, LinkLoad, Prediction
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import Progress, RankParams, RankProblem, RankSolution, solve_ranks
from topoplan.solvers.ranks.luck import luck_ms
from topoplan.solvers.ranks.solve import _Candidate, _choose

QUICK = RankParams(300, exact=None)


def value(price: Prediction, objective: str) -> float:
    return {"exposed_ms": price.exposed_ms, "busiest_uplink": price.busiest_uplink_ms, "hop_bytes": price.hop_bytes}[
        objective
    ]


def solved(fabric: Fabric, traffic: Traffic, objective: str = "exposed_ms", seed: int = 0) -> RankSolution:
    """A plan that was checked: a bijection onto free GPUs, no worse than any plain order, not below its bounds."""
    solution = solve_ranks(RankProblem(fabric, traffic, objective=objective), replace(QUICK, seed=seed))
    placement = RankPlacement(fabric, solution.gpu)
    assert placement.ranks == traffic.ranks == len(np.unique(solution.gpu))
    mine = value(solution.prediction, objective)
    for price in solution.baselines.values():
        assert mine <= value(price, objective) * (1 + 1e-12)
    for name, bound in solution.certificate.items():
        assert bound.lower_bound <= value(solution.prediction, name) * (1 + 1e-9)
    return solution


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    leaves=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    per_pod=st.integers(1, 3),
    routing=st.sampled_from(["ecmp", "adaptive"]),
    objective=st.sampled_from(OBJECTIVES),
    seed=st.integers(0, 99),
    spare=st.integers(0, 5),
)
def test_any_job_is_placed_no_worse_than_plain_orders(
    fabrics: Fabrics, random_jobs: Jobs, leaves: list[int], per_pod: int, routing: str, objective: str, seed: int,
    spare: int,
) -> None:  # fmt: skip
    fabric = fabrics(leaves, per_pod, routing=routing)
    solved(fabric, random_jobs(max(1, fabric.gpus - spare), 40, seed), objective, seed)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shape", [(2, 8, 3, 0), (2, 4, 6, 8), (1, 12, 4, 0), (1, 8, 6, 8)])
def test_training_jobs_repeat_exactly(
    fabrics: Fabrics, grid_jobs: Jobs, shape: tuple[int, int, int, int], objective: str
) -> None:
    fabric = fabrics([3, 5, 4, 6, 6], 3)
    first, second = (solved(fabric, grid_jobs(*shape), objective) for _ in range(2))
    assert (first.gpu == second.gpu).all()
    assert first.prediction == second.prediction


def test_pieces_of_rings_fit_unequal_leaves(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    """Three rings of four hosts on leaves of 2, 4 and 6: linear cuts two rings, one is enough."""
    fabric = fabrics([2, 4, 6], 3)
    job = grid_jobs(2, 4, 3)
    solution = solved(fabric, job, "hop_bytes")
    assert solution.prediction.hop_bytes < solution.baselines["linear"].hop_bytes * 0.99


def test_an_ecmp_fabric_without_a_gain_keeps_the_linear_order(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    solution = solved(fabrics([4]), grid_jobs(2, 2, 2))
    assert (solution.gpu == np.arange(8)).all()


def test_watch_sees_a_plan_and_stops_the_search(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric, job = fabrics([3, 5, 4, 6, 6], 3), grid_jobs(2, 4, 6, 8)
    seen: list[Progress] = []

    def stop(progress: Progress) -> bool:
        seen.append(progress)
        return False

    for objective in OBJECTIVES:
        solution = solve_ranks(RankProblem(fabric, job, objective=objective), QUICK, stop)
        assert len(np.unique(solution.gpu)) == job.ranks
    assert len(seen) >= 3
    assert all(0 <= p.done <= 1 for p in seen)


# ---- degenerate inputs -------------------------------------------------------------------------------------------


def flows(ranks: int, ends: list[tuple[int, int]], size: float = 1e9) -> Traffic:
    src, dst = (np.array([e[i] for e in ends], np.int32) for i in (0, 1))
    return Traffic(
        ranks, ("x",), src, dst, np.full(len(ends), size), np.zeros(len(ends), np.int8), np.ones(1), np.zeros(1)
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("ranks", "ends"),
    [
        (1, []),
        (1, [(0, 0)]),
        (8, []),
        (8, [(0, 0), (3, 3)]),
        (8, [(0, 1), (2, 3), (6, 7), (0, 5)]),
        (2, [(0, 1), (1, 0)]),
    ],
    ids=["one rank", "one rank to itself", "no traffic", "only to themselves", "disconnected", "two ranks"],
)
def test_little_traffic(fabrics: Fabrics, ranks: int, ends: list[tuple[int, int]], objective: str) -> None:
    for leaves in ([4], [1, 1, 1, 1], [2, 3]):
        solved(fabrics(leaves), flows(ranks, ends), objective)
    one = fabrics([1], gpus=8)  # one host
    assert solved(one, flows(ranks, ends), objective).prediction.hop_bytes == 0


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e15])
def test_bytes_of_any_size(fabrics: Fabrics, grid_jobs: Jobs, size: float) -> None:
    fabric, job = fabrics([3, 5, 4]), grid_jobs(2, 4, 3)
    scaled = replace(job, bytes=job.bytes * size / job.bytes.max())
    for objective in OBJECTIVES:
        solved(fabric, scaled, objective)
    big = solve_ranks(RankProblem(fabric, job, objective="hop_bytes"), QUICK)
    small = solve_ranks(RankProblem(fabric, scaled, objective="hop_bytes"), QUICK)
    ratio = size / job.bytes.max()
    assert small.prediction.hop_bytes == pytest.approx(big.prediction.hop_bytes * ratio, rel=1e-2)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_least_and_most_bytes_in_one_job(fabrics: Fabrics, grid_jobs: Jobs, objective: str) -> None:
    fabric, job = fabrics([3, 5, 4]), grid_jobs(2, 4, 3)
    size = np.where(np.arange(len(job.bytes)) % 3 == 0, 1e15, 1e-9)
    found = solved(fabric, replace(job, bytes=size), objective)
    assert np.isfinite([found.prediction.exposed_ms, found.prediction.hop_bytes]).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_traffic_in_two_parts_that_never_talk(fabrics: Fabrics, objective: str) -> None:
    """Two rings of six ranks, dealt out alternately."""
    ends = [(2 * i + part, 2 * ((i + 1) % 6) + part) for i in range(6) for part in (0, 1)]
    solution = solved(fabrics([3, 3]), flows(12, ends), objective)
    assert solution.prediction.hop_bytes <= solution.baselines["linear"].hop_bytes


def test_no_groups_at_all() -> None:
    kind = HostType("box", 2, (Nic(0, 50e9, 0),), 2, 450e9)
    fabric = Fabric("f", "adaptive", (kind,), tuple(Host(f"h{i}", 0) for i in range(4)))
    for objective in OBJECTIVES:
        solved(fabric, flows(8, [(0, 7), (7, 0), (1, 2)]), objective)


def test_one_gpu_without_a_network() -> None:
    fabric = Fabric("f", "ecmp", (HostType("box", 1, (), 1, 450e9),), (Host("h", 0),))
    assert solved(fabric, flows(1, [])).certificate["hop_bytes"].proven_optimal


def deep(routing: str = "ecmp") -> Fabric:
    """Five tiers, two groups under each group but the lowest, which hold one or two hosts."""
    kind = HostType("box", 1, (Nic(0, 50e9, 0),), 1, 450e9)
    groups = [Group("g4", 4)]
    for tier in (3, 2, 1, 0):
        parents = [k for k, g in enumerate(groups) if g.tier == tier + 1]
        groups += [Group(f"g{tier}-{p}-{i}", tier, p, 1, (1.0,), 50e9) for p in parents for i in range(2)]
    leaves = [k for k, g in enumerate(groups) if g.tier == 0]
    hosts = tuple(Host(f"h{k}-{i}", 0, k) for k in leaves for i in range(1 + k % 2))
    tiers = tuple(Tier(f"t{t}", 10.0 * 2**t) for t in range(5))
    return Fabric("deep", routing, (kind,), hosts, tiers, tuple(groups))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_five_tiers(grid_jobs: Jobs, objective: str) -> None:
    fabric = deep()
    solved(fabric, grid_jobs(1, fabric.gpus // 4, 4), objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_hosts_with_different_numbers_of_free_gpus(fabrics: Fabrics, grid_jobs: Jobs, objective: str) -> None:
    fabric = fabrics([3, 4, 3], gpus=4)
    worn = replace(fabric, unusable_gpus=frozenset({(0, 1), (4, 0), (4, 2), (7, 3)}))
    solved(worn, grid_jobs(2, 6, 3), objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_islands_wider_than_leaves(grid_jobs: Jobs, objective: str) -> None:
    """Islands of three and five hosts over leaves of two: expert groups of two hosts stay in one island."""
    kind = HostType("tray", 4, tuple(Nic(i, 50e9, i) for i in range(4)), 4, 900e9)
    groups = (Group("spine", 1), *(Group(f"leaf-{k}", 0, 0, 4, (2.0,) * 4, 50e9) for k in range(4)))
    hosts = tuple(Host(f"t{i}", 0, 1 + i // 2) for i in range(8))
    racks = (Island("a", (0, 1, 2), 900e9), Island("b", (3, 4, 5, 6, 7), 900e9))
    fabric = Fabric("f", "ecmp", (kind,), hosts, (Tier("leaf", 10.0), Tier("spine", 20.0)), groups, racks)
    job = grid_jobs(1, 8, 3, 8)
    solution = solved(fabric, job, objective)
    if objective != "busiest_uplink":
        assert (np.ptp(fabric.gpu_island[solution.gpu].reshape(-1, 8), axis=1) == 0).all()


# ---- which candidate is returned ---------------------------------------------------------------------------------


def choice(fabric: Fabric, job: Traffic, objective: str, *prices: tuple[float, float, float], plain: int = 1) -> int:
    """Index of the candidate returned among (exposed ms, busiest uplink ms, hop-bytes); the first are plain orders."""
    gpu = np.arange(job.ranks)
    names = dict.fromkeys(job.axes, 0.0)
    found = [
        _Candidate(str(i), gpu, Prediction(e, names | {"a2": e}, e, (LinkLoad("uplink x", 0.0, u),), h))
        for i, (e, u, h) in enumerate(prices)
    ]
    return int(_choose(RankProblem(fabric, job, objective=objective), found[:plain], found).method)


def test_ties_go_to_the_other_objectives_but_never_below_a_plain_order(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric, job = fabrics([3, 5, 4], routing="adaptive"), grid_jobs(2, 4, 3)
    assert choice(fabric, job, "hop_bytes", (9, 9, 100), (9, 9, 99.95), (9, 1, 99.99)) == 2
    assert choice(fabric, job, "hop_bytes", (9, 9, 100), (9, 1, 100.05)) == 0
    assert choice(fabric, job, "busiest_uplink", (9, 100, 9), (9, 97, 9), (8, 99, 9)) == 2
    assert choice(fabric, job, "busiest_uplink", (9, 100, 9), (1, 101, 1)) == 0
    assert choice(fabric, job, "exposed_ms", (100, 9, 9), (99, 9, 9), (99.05, 8, 9)) == 2


def test_a_plain_order_stays_unless_the_gain_is_clear_of_luck(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric, job = fabrics([3, 5, 4]), grid_jobs(2, 4, 3)
    price = Prediction(500, {"a2": 500.0}, 500, (), 1)
    luck = luck_ms(fabric, job, price, price, np.zeros(4))
    assert luck > 0
    assert luck_ms(fabrics([3, 5, 4], routing="adaptive"), job, price, price, np.zeros(4)) == 0
    assert luck_ms(fabric, job, price, price, np.array([0, 0, 0.5, 0])) == 0  # its NICs are slower than any hashing
    assert choice(fabric, job, "exposed_ms", (500, 9, 9), (500 - luck / 2, 1, 1)) == 0
    assert choice(fabric, job, "exposed_ms", (500, 1, 1), (500 - luck * 1.1, 9, 9)) == 1
    # where none is clear, the fastest of the plain orders, also when something faster leaves it out of the ties
    assert choice(fabric, job, "exposed_ms", (500, 9, 9), (510, 1, 1), (500 - luck / 2, 1, 1), plain=2) == 0
