"""Single GPUs: gains where NICs are unlike, hosts broken or traffic measured; none where launchers only order hosts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.launchers.express import check_expressible
from topoplan.model.capability import Capability, Freedom
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import OBJECTIVES, Prediction
from topoplan.model.traffic import Traffic
from topoplan.planning.solve import job_traffic
from topoplan.solvers.ranks import Progress, RankParams, RankProblem, RankSolution, rate, solve_ranks
from topoplan.solvers.ranks.inside.gpus import _per_byte, _Search, refine_gpus
from topoplan.solvers.ranks.orders import fill, usable_hosts
from topoplan.solvers.ranks.replan import key_of

QUICK = RankParams(5000, exact=None)


def boxes(hosts: int = 4, nics: int = 4, domain: int = 4, broken: frozenset[tuple[int, int]] = frozenset()) -> Fabric:
    """Hosts of four GPUs under two leaves; with two NICs, two GPUs share each."""
    kind = HostType("box", 4, tuple(Nic(i, 50e9, i * 4 // nics) for i in range(nics)), domain, 450e9)
    groups = (Group("core", 1), *(Group(f"leaf-{k}", 0, 0, nics, (2.0,) * nics, 50e9) for k in range(2)))
    listed = tuple(Host(f"h{i}", 0, 1 + 2 * i // hosts) for i in range(hosts))
    tiers = (Tier("leaf", 10), Tier("core", 20))
    return Fabric("f", "adaptive", (kind,), listed, tiers, groups, unusable_gpus=broken)


def flows(ranks: int, ends: list[tuple[int, int, float]], names: tuple[str, ...] = ("x",)) -> Traffic:
    src, dst, size = (np.array(column) for column in zip(*ends, strict=True))
    return Traffic(
        ranks, names, src.astype(np.int32), dst.astype(np.int32), size.astype(float), np.zeros(len(src), np.int8),
        np.ones(1), np.zeros(1),
    )  # fmt: skip


def refined(
    fabric: Fabric, traffic: Traffic, freedom: Freedom, objective: str = "exposed_ms"
) -> tuple[Prediction, RankSolution]:
    """Price of the linear order, and what refinement makes of it; the launchers can make it."""
    problem = RankProblem(fabric, traffic, Capability(freedom), objective=objective)
    linear = rate(problem, fill(problem, usable_hosts(problem)), "linear")
    found = refine_gpus(problem, linear, QUICK)
    key = key_of(objective)
    assert key(found.prediction)[0] <= key(linear.prediction)[0]
    if found is not linear:
        check_expressible(RankPlacement(fabric, found.gpu), freedom, "launcher")
    return linear.prediction, found


# the GPUs 0 and 1 share a NIC, and ranks 0 and 1 of each host are the ones that leave it
HEAVY = [(4 * h + i, 4 * ((h + 1) % 4) + i, 8e9) for h in range(4) for i in (0, 1)]


@pytest.mark.parametrize("freedom", [Freedom.GPUS, Freedom.RANKS])
def test_busy_ranks_get_nics_of_their_own(freedom: Freedom) -> None:
    before, found = refined(boxes(nics=2), flows(16, HEAVY), freedom)
    assert found.prediction.exposed_ms == pytest.approx(before.exposed_ms / 2)
    assert found.method == "linear, by GPU"


def test_launchers_that_only_order_hosts_forbid_it() -> None:
    before, found = refined(boxes(nics=2), flows(16, HEAVY), Freedom.HOSTS)
    assert (found.gpu == np.arange(16)).all()
    assert found.prediction == before


def test_pairs_of_nvlink() -> None:
    # ranks 0 and 2, 1 and 3 of each host talk; NVLink joins GPUs 0 and 1, 2 and 3
    traffic = flows(16, [(4 * h + a, 4 * h + (a + 2) % 4, 4e9) for h in range(4) for a in range(4)])
    before, found = refined(boxes(domain=2), traffic, Freedom.GPUS)
    assert found.prediction.exposed_ms == pytest.approx(before.exposed_ms / 9)
    assert found.prediction.hop_bytes == 0


def test_ranks_of_measured_traffic_meet_on_a_host_only_where_any_rank_may_go_anywhere() -> None:
    traffic = flows(16, [(a, (a + 8) % 16, 4e9) for a in range(16)])
    _, stays = refined(boxes(), traffic, Freedom.GPUS)
    assert (stays.gpu == np.arange(16)).all()
    before, found = refined(boxes(), traffic, Freedom.RANKS, "hop_bytes")
    assert found.prediction.hop_bytes < before.hop_bytes / 4


def test_even_hosts_are_left_alone() -> None:
    model = ModelShape("tiny", 8, 1024, 8, 8, 128, 4096, 1000)
    job = Job("j", 16, model, Parallel(tp=2, pp=2, dp=4), batch=Batch(1024, 1, 8))
    fabric, calls = boxes(), []
    problem = RankProblem(fabric, job_traffic(job, fabric))
    solution = solve_ranks(problem, QUICK)

    def watch(progress: Progress) -> bool:
        calls.append(progress)
        return True

    assert refine_gpus(problem, solution, QUICK, watch) is solution
    assert not calls


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 999),
    broken=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=5),
    freedom=st.sampled_from(list(Freedom)),
    objective=st.sampled_from(OBJECTIVES),
    shape=st.sampled_from([(4, 4), (2, 4), (4, 2), (2, 2)]),
)
def test_never_worse_and_the_running_sums_are_right(
    seed: int, broken: set[tuple[int, int]], freedom: Freedom, objective: str, shape: tuple[int, int]
) -> None:
    fabric = boxes(nics=shape[0], domain=shape[1], broken=frozenset(broken))
    rng = np.random.default_rng(seed)
    ranks = int(fabric.gpu_free.sum()) - seed % 2
    ends, size = rng.integers(0, ranks, (2, 60)).tolist(), (rng.pareto(1.5, 60) * 1e8).tolist()
    traffic = flows(ranks, list(zip(*ends, size, strict=True)))
    problem = RankProblem(fabric, traffic, Capability(freedom), objective=objective)
    start = rate(problem, fill(problem, usable_hosts(problem)), "linear")
    again, found = (refine_gpus(problem, start, replace(QUICK, proposals=1500, seed=seed)) for _ in range(2))
    assert (again.gpu == found.gpu).all()
    key = key_of(objective)
    assert key(found.prediction)[0] <= key(start.prediction)[0]
    placement = RankPlacement(fabric, found.gpu)
    if found is not start:
        check_expressible(placement, freedom, "launcher")
    search = _Search(problem, start.gpu, freedom >= Freedom.RANKS, seed)
    gpu = search.run(300, lambda _: True)
    fresh = _Search(problem, gpu, True, seed)
    assert search.busy == pytest.approx(fresh.busy, abs=1e-9 * fresh.busy.max(initial=1e-9))
    assert search.hops == pytest.approx(fresh.hops)
    assert np.isfinite(_per_byte(fabric)).all()


def test_the_first_look_at_the_watch_may_stop_it() -> None:
    problem = RankProblem(boxes(nics=2), flows(16, HEAVY))
    start = rate(problem, np.arange(16), "linear")
    assert len(set(refine_gpus(problem, start, QUICK, lambda _: False).gpu.tolist())) == 16
