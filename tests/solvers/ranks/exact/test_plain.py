"""Exact solvers: the same optimum as enumeration, the two models agree, bounds are never above any placement."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from topoplan.cost.price import hop_bytes
from topoplan.errors import InputError, SolverMissingError
from topoplan.model.fabric import Fabric, Island, Tier
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import ExactParams, Progress, RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.exact.cpsat import Stop
from topoplan.solvers.ranks.exact.ilp import choose_solver, solve_ilp
from topoplan.solvers.ranks.exact.plain import necks, solve_cpsat
from topoplan.solvers.ranks.exact.symmetry import orbit, twin_blocks, twin_cells
from topoplan.solvers.ranks.exact.task import ExactTask, exact_task
from topoplan.solvers.ranks.steering.blocks import contract

Make = Callable[..., Any]


def _task(fabric: Fabric, traffic: Traffic, kind: Any = None) -> ExactTask:
    """Ranks in order on hosts in order."""
    gpus = int(fabric.host_gpus[0])
    blocks = contract(fabric, traffic, np.arange(traffic.ranks) // gpus, len(fabric.hosts))
    place = np.arange(len(fabric.hosts))
    task = exact_task(fabric, blocks, place, np.zeros(len(place), np.int64) if kind is None else kind)
    assert task is not None
    return task


def _brute(task: ExactTask) -> int:
    """Least cost over all ways to fill the cells."""
    slots = np.repeat(np.arange(len(task.room)), task.room)
    choices = set(itertools.permutations(slots.tolist(), task.blocks))
    fits = [np.array(c) for c in choices if (task.cell_kind[list(c)] == task.kind).all()]
    return min(task.cost(c) for c in fits)


CASES = {
    "ring and chain": ([3, 3], 2, (2, 3, 2)),
    "identical leaves": ([2, 2, 2], 3, (2, 3, 2)),
    "two pods": ([2, 1, 2, 1], 2, (2, 2, 3)),
    "spare hosts": ([3, 2, 3], 2, (2, 3, 2)),
    "cliques": ([3, 3], 2, (2, 3, 2, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_both_models_find_the_optimum(name: str, fabrics: Make, grid_jobs: Make) -> None:
    leaves, per_pod, shape = CASES[name]
    task = _task(fabrics(leaves, per_pod), grid_jobs(*shape))
    optimum = _brute(task)
    cpsat = solve_cpsat(task, 10.0)
    assert (cpsat.cost, cpsat.proven) == (optimum, True)
    assert task.cost(cpsat.cell) == optimum
    ilp = solve_ilp(task, 30.0)
    assert (ilp.cost, ilp.proven) == (optimum, True)
    assert ilp.lower_bound <= optimum


@pytest.mark.parametrize("seed", range(6))
def test_random_traffic_and_kinds(seed: int, fabrics: Make, random_jobs: Make) -> None:
    # hosts 0, 3 are of another kind: blocks that start there go only there
    kind = np.array([1, 0, 0, 1, 0, 0, 0], np.int64)
    task = _task(fabrics([3, 2, 2], 2), random_jobs(12, 30, seed), kind)
    result = solve_cpsat(task, 10.0)
    assert (result.cost, result.proven) == (_brute(task), True)
    assert (task.cell_kind[result.cell] == task.kind).all()


def test_the_ilp_agrees_on_random_traffic(fabrics: Make, random_jobs: Make) -> None:
    task = _task(fabrics([3, 2, 3], 2), random_jobs(16, 60, 3))
    assert solve_ilp(task, 30.0, neck=necks(task, 2.0)).cost == solve_cpsat(task, 10.0).cost


def test_necks_are_least_boundaries(fabrics: Make, random_jobs: Make) -> None:
    task = _task(fabrics([3, 2, 3], 2), random_jobs(16, 40, 1))
    found = necks(task, 5.0)
    for size in (1, 2, 3, 4):
        cuts = []
        for chosen in itertools.combinations(range(8), size):
            inside = np.isin(task.ends, chosen)
            cuts.append(int(task.weight[inside[:, 0] != inside[:, 1]].sum()))
        if size in found:
            assert found[size] == min(cuts)
            assert found[8 - size] == min(cuts)
    assert {2, 3} <= set(found)


def test_integer_cost_is_hop_bytes_rounded_down(fabrics: Make, random_jobs: Make) -> None:
    fabric, traffic = fabrics([3, 2, 3], 2), random_jobs(16, 40, 2)
    traffic = replace(traffic, bytes=traffic.bytes / 7)  # no whole bytes
    task = _task(fabric, traffic)
    full = hop_bytes(fabric, traffic, np.arange(16))
    inside = traffic.bytes[traffic.src // 2 != traffic.dst // 2].sum() * 10
    assert task.start_hop_bytes() == pytest.approx(full - inside)
    rounded = task.hop_bytes(task.cost(task.start))
    assert rounded <= task.start_hop_bytes()
    assert rounded == pytest.approx(task.start_hop_bytes(), rel=1e-9)


def test_islands_are_a_tier_without_cost(fabrics: Make, grid_jobs: Make) -> None:
    fabric = replace(fabrics([4, 4], 2), islands=(Island("a", (0, 1), 9e11), Island("b", (2, 3), 9e11)))
    task = _task(fabric, grid_jobs(2, 4, 2))
    assert task.levels[0].climb == 10
    assert solve_cpsat(task, 10.0).cost == _brute_with_hops(fabric, grid_jobs(2, 4, 2), task)


def _brute_with_hops(fabric: Fabric, traffic: Traffic, task: ExactTask) -> int:
    """Least integer cost met among many orders of 8 hosts priced by `hop_bytes`; enough to meet the optimum."""
    local, rng = np.arange(traffic.ranks) % 2, np.random.default_rng(0)
    orders = [rng.permutation(8) for _ in range(3000)]
    best = min(hop_bytes(fabric, traffic, 2 * order[np.arange(traffic.ranks) // 2] + local) for order in orders)
    return round(best / (task.byte_unit * task.distance_unit))


def test_distances_that_fall_are_refused(fabrics: Make, grid_jobs: Make) -> None:
    fabric = replace(fabrics([2, 2], 1), tiers=(Tier("leaf", 10), Tier("pod", 5), Tier("core", 40)))
    blocks = contract(fabric, grid_jobs(2, 2, 2), np.arange(8) // 2, 4)
    assert exact_task(fabric, blocks, np.arange(4), np.zeros(4, np.int64)) is None


def test_symmetries_are_found(fabrics: Make, grid_jobs: Make) -> None:
    task = _task(fabrics([3, 3, 2], 3), grid_jobs(2, 4, 2))
    assert twin_cells(task) == [(0, 1)]
    assert orbit(task) == [1, 2, 3, 4, 7]  # rotations and reflections of both rings of four, and of all eight
    assert twin_blocks(_task(fabrics([3, 3], 2), grid_jobs(2, 3, 2, 0))) == []


def test_solve_proves_small_plans(fabrics: Make, grid_jobs: Make) -> None:
    problem = RankProblem(fabrics([5, 7, 6], 3), grid_jobs(2, 4, 4), objective="hop_bytes")
    proven = solve_ranks(problem, RankParams(proposals=500)).certificate["hop_bytes"]
    assert proven.proven_optimal
    assert proven.gap == pytest.approx(0, abs=1e-9)
    without = solve_ranks(problem, RankParams(proposals=500, exact=None))
    assert without.prediction.hop_bytes >= proven.value * (1 - 1e-9)
    assert without.certificate["hop_bytes"].lower_bound <= proven.value * (1 + 1e-9)


def test_the_same_answer_twice(fabrics: Make, grid_jobs: Make) -> None:
    task = _task(fabrics([5, 7, 6], 3), grid_jobs(2, 4, 4))
    first, second = solve_cpsat(task, 0.05), solve_cpsat(task, 0.05)
    assert first.lower_bound == second.lower_bound
    assert (first.cell == second.cell).all()


@pytest.mark.parametrize("deadline", [None, 0.0])
def test_a_search_that_is_stopped_keeps_what_it_has(deadline: float | None, fabrics: Make, random_jobs: Make) -> None:
    # forty hosts with traffic between any two: nothing is proven in seconds
    task = _task(fabrics([12, 9, 10, 9], 2), random_jobs(80, 400, 1))
    seen: list[float] = []

    def look(bound: float) -> bool:
        seen.append(bound)
        return False

    stop = Stop(deadline, look)
    result = solve_cpsat(task, 1e4, 0, stop)
    assert stop.stopped or deadline is not None
    assert bool(seen) == stop.stopped
    assert 0 <= result.lower_bound <= result.cost == task.cost(result.cell) <= task.cost(task.start)
    assert not result.proven


def test_the_watch_is_shown_the_bound_of_the_exact_solver_and_stops_it(fabrics: Make, random_jobs: Make) -> None:
    problem = RankProblem(fabrics([12, 9, 10, 9], 2), random_jobs(80, 400, 1), objective="hop_bytes")
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return sum(p.phase.startswith("exact") for p in seen) < 3

    found = solve_ranks(problem, RankParams(proposals=20, exact=ExactParams(blocks=64, work=1e4)), watch)
    told = [p for p in seen if p.phase.startswith("exact")]
    assert len(told) == 3
    for progress in seen:
        assert 0 <= progress.lower_bound <= found.prediction.hop_bytes * (1 + 1e-9) <= progress.value * (1 + 2e-9)


@pytest.mark.parametrize("leaves", [[17, 15], [12, 12, 12]])
def test_32_hosts_are_proven_quickly(leaves: list[int], fabrics: Make, grid_jobs: Make) -> None:
    problem = RankProblem(fabrics(leaves, 4), grid_jobs(2, 4, 8), objective="hop_bytes")
    found = solve_ranks(problem, RankParams(proposals=500, exact=ExactParams(work=20.0)))
    assert found.certificate["hop_bytes"].proven_optimal


def test_a_missing_solver_is_said(monkeypatch: pytest.MonkeyPatch, fabrics: Make, grid_jobs: Make) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    problem = RankProblem(fabrics([6, 7, 5, 8, 6], 2), grid_jobs(2, 8, 4, 4))  # a relaxation alone proves less
    with pytest.raises(SolverMissingError, match="OR-Tools"):
        solve_ranks(problem, RankParams(proposals=100, exact=ExactParams(demanded=True)))
    # not asked for: the plan comes without the proof
    assert solve_ranks(problem, RankParams(proposals=100)).prediction.hop_bytes > 0


def test_unknown_and_missing_ilp_solvers() -> None:
    with pytest.raises(InputError, match="no ILP solver 'nonsense'"):
        choose_solver("nonsense")
    with pytest.raises(SolverMissingError, match="XPRESS"):
        choose_solver("XPRESS")
    assert choose_solver("highs") == "HiGHS"


def test_ortools_and_highs_in_one_session(fabrics: Make, grid_jobs: Make) -> None:
    # their copies of the HiGHS library clash in one process: the ILP must run in another, before and after
    task = _task(fabrics([3, 3], 2), grid_jobs(2, 3, 2))
    assert solve_ilp(task, 30.0, "HiGHS").cost == solve_cpsat(task, 5.0).cost == solve_ilp(task, 30.0, "HiGHS").cost


def test_the_import_is_lazy() -> None:
    code = "import sys, json, topoplan.solvers.ranks as r; print(json.dumps([m for m in sys.modules if m in %s]))"
    code %= "('ortools', 'pulp')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
