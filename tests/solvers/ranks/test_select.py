"""Host selection: whole units in leaves and islands, and what users demand of the hosts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks import RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.replan import key_of
from topoplan.solvers.ranks.select import avoid, fitted, nearest_spares, takes, within

Make = Callable[..., Any]
QUICK = RankParams(proposals=500, exact=None)


def test_takes_whole_units_first() -> None:
    room = np.array([5, 9, 6, 2])
    assert takes(room, 12, 4).tolist() == [4, 8, 0, 0]  # type: ignore[union-attr]
    # 16 = 8 + 4 + 4 fill the units; two more come from the largest ends
    assert takes(room, 18, 4).tolist() == [4, 8, 6, 0]  # type: ignore[union-attr]
    assert takes(room, 22, 4).sum() == 22  # type: ignore[union-attr]
    assert takes(room, 23, 1) is None


def test_units_keep_expert_groups_in_leaves(fabrics: Make, grid_jobs: Make) -> None:
    # expert groups of 4 hosts; the fullest leaves hold 7, 7 and 2 of them, units of four 4, 4, 4 and 4
    fabric, traffic = fabrics([7, 7, 5, 5], 4), grid_jobs(2, 8, 2, 8)
    problem = RankProblem(fabric, traffic, objective="hop_bytes")
    _, hosts = next(iter(fitted(problem, [("hosts", np.arange(24))])))
    leaf = fabric.host_group[hosts[:16]].reshape(4, 4)
    assert (leaf == leaf[:, :1]).all()
    found = solve_ranks(problem)
    group = fabric.host_group[fabric.gpu_host[found.gpu]].reshape(-1, 8)
    assert (group == group[:, :1]).all()


@pytest.mark.parametrize("objective", ["exposed_ms", "hop_bytes"])
@pytest.mark.parametrize("seed", range(4))
def test_better_than_the_fullest_leaves(seed: int, objective: str, fabrics: Make, grid_jobs: Make) -> None:
    free = np.random.default_rng(seed).integers(3, 15, 8).tolist()
    fabric, traffic = fabrics(free, 8), grid_jobs(2, 8, 4, 8)
    problem = RankProblem(fabric, traffic, objective=objective)
    fullest = sorted(range(8), key=lambda k: -free[k])
    first = np.cumsum([0, *free])
    hosts = [h for k in fullest for h in range(first[k], first[k + 1])][:32]
    allowed = np.isin(np.arange(len(fabric.hosts)), hosts)
    rule = solve_ranks(RankProblem(fabric, traffic, allowed=allowed, objective=objective), QUICK)
    key = key_of(objective)
    assert key(solve_ranks(problem, QUICK).prediction)[0] <= key(rule.prediction)[0] * (1 + 1e-3)


def _racks(islands: int = 3, trays: int = 18, broken: tuple[int, ...] = ()) -> Fabric:
    kind = HostType("tray", 4, tuple(Nic(i, 50e9, i) for i in range(4)), 4, 9e11)
    groups = [Group("core", 1), *(Group(f"leaf-{i}", 0, 0, 4, (float(trays),) * 4, 50e9) for i in range(islands))]
    hosts = tuple(Host(f"t{i}", 0, 1 + i // trays) for i in range(islands * trays))
    racks = tuple(Island(f"rack-{i}", tuple(range(i * trays, (i + 1) * trays)), 9e11) for i in range(islands))
    unusable = frozenset((h, g) for h in broken for g in range(4))
    return Fabric(
        "nvl", "ecmp", (kind,), hosts, (Tier("leaf", 10), Tier("core", 20)), tuple(groups), racks,
        unusable_gpus=unusable,
    )  # fmt: skip


def _cliques(ranks: int, size: int) -> Traffic:
    """All-to-all in groups of consecutive ranks, and a ring over the groups."""
    rank = np.arange(ranks)
    src, dst = (x.ravel() for x in np.meshgrid(rank, rank, indexing="ij"))
    talk = (src // size == dst // size) & (src != dst)
    src, dst = np.concatenate([src[talk], rank]), np.concatenate([dst[talk], (rank + size) % ranks])
    amount = np.where(np.arange(len(src)) < talk.sum(), 1e9, 1e8)
    ends = (src.astype(np.int32), dst.astype(np.int32))
    return Traffic(ranks, ("ep",), *ends, amount, np.zeros(len(src), np.int8), np.ones(1), np.zeros(1))


@pytest.mark.parametrize("objective", ["exposed_ms", "hop_bytes"])
@pytest.mark.parametrize("broken", [(), (3, 20, 21)])
def test_expert_groups_stay_in_an_island(objective: str, broken: tuple[int, ...]) -> None:
    # 64 of the 72 GPUs of a rack: 16 of 18 trays
    fabric = _racks(broken=broken)
    found = solve_ranks(RankProblem(fabric, _cliques(192, 64), objective=objective))
    island = fabric.gpu_island[found.gpu].reshape(3, 64)
    assert (island == island[:, :1]).all()


def test_within_names_what_is_short(fabrics: Make) -> None:
    fabric = fabrics([5, 7, 6, 2], 2)
    free = fabric.free_gpus
    assert [name for name, _ in within(fabric, free, 16, "pod")] == ["pod-1", "pod-0"]
    assert [name for name, _ in within(fabric, free, 16, "pod", spares=1)] == ["pod-0"]
    with pytest.raises(InfeasibleError, match=r"4 hosts short in pod-0; 2 pods needed"):
        within(fabric, free, 32, "pod")
    with pytest.raises(InfeasibleError, match=r"1 host short in leaf-1; 2 leaves needed"):
        within(fabric, free, 16, "leaf")
    with pytest.raises(InfeasibleError, match="all 4 leaves together do not hold it"):
        within(fabric, free, 42, "leaf")
    with pytest.raises(InputError, match="no tier 'rack'"):
        within(fabric, free, 2, "rack")
    with pytest.raises(InputError, match="no tier 'island'"):
        within(fabric, free, 2, "island")


def test_a_job_may_be_kept_in_one_nvlink_domain() -> None:
    fabric = _racks(broken=(3, 20, 21))
    assert [name for name, _ in within(fabric, fabric.free_gpus, 64, "island")] == ["rack-1", "rack-0", "rack-2"]
    with pytest.raises(InfeasibleError, match="1 host short in rack-2; 2 islands needed"):
        within(fabric, fabric.free_gpus, 73, "island")


def test_avoided_hosts_come_last(fabrics: Make) -> None:
    fabric = fabrics([3, 3, 2], 3)
    avoided = np.isin(np.arange(8), [0, 6, 7])
    use = avoid(fabric.free_gpus, fabric.host_group, 10, avoided)
    assert use.tolist() == (~avoided).tolist()
    # one of them is needed: the one beside two others, not one of the empty leaf
    use = avoid(fabric.free_gpus, fabric.host_group, 12, avoided)
    assert np.flatnonzero(use & avoided).tolist() == [0]


def test_spares_are_near(fabrics: Make) -> None:
    fabric = fabrics([3, 3, 3, 3], 2)
    spares = nearest_spares(fabric, fabric.free_gpus, np.array([6, 7, 9]), 3)
    assert spares.tolist() == [8, 10, 11]  # the leaf of two, the leaf of one, then the rest of the pod
    with pytest.raises(InfeasibleError, match="10 spare hosts are wanted, 9"):
        nearest_spares(fabric, fabric.free_gpus, np.array([6, 7, 9]), 10)
