"""Which GPUs of a host a job takes, and that launchers get them with their NICs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.launchers.env import exports
from topoplan.launchers.table import host_rows
from topoplan.model.capability import Capability, Freedom
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.inside.host_gpus import choose, in_order, last_host_well
from topoplan.solvers.ranks.orders import fill
from topoplan.solvers.ranks.problem import RankProblem

# as AWS p4d: a NIC for two GPUs, all on NVLink
SHARED = HostType("p4d", 8, tuple(Nic(n, 12.5e9, 2 * n, f"efa_{n}", (2 * n + 1,)) for n in range(4)), 8, 300e9)
OWN = HostType("hgx", 8, tuple(Nic(n, 50e9, n, f"mlx5_{n}") for n in range(8)), 8, 450e9)
PAIRS = HostType("pairs", 4, (Nic(0, 25e9, 0, "mlx5_0", (1, 2, 3)),), 2, 56e9, domains=(0, 1, 1, 0))
SWITCHED = HostType("pcie", 4, (), 1, 0.0, switches=(0, 1, 0, 1))


def test_a_job_that_spans_hosts_takes_gpus_with_nics_of_their_own() -> None:
    assert choose(SHARED, range(8), 4, alone=False) == (0, 2, 4, 6)
    assert choose(SHARED, range(8), 5, alone=False) == (0, 1, 2, 4, 6)
    assert choose(SHARED, [1, 2, 3, 7], 3, alone=False) == (1, 2, 7)


def test_a_job_inside_a_host_takes_one_nvlink_domain_or_switch() -> None:
    assert choose(PAIRS, range(4), 2, alone=True) == (0, 3)
    assert choose(PAIRS, [1, 2, 3], 2, alone=True) == (1, 2)
    assert choose(SWITCHED, range(4), 2, alone=True) == (0, 2)


@pytest.mark.parametrize("alone", [False, True])
def test_where_all_gpus_are_alike_the_first_are_taken(alone: bool) -> None:
    assert choose(OWN, range(8), 3, alone=alone) == (0, 1, 2)
    assert choose(OWN, [1, 5], 2, alone=alone) == (1, 5)


def test_hosts_of_any_size_are_chosen_from() -> None:
    wide = HostType("wide", 64, tuple(Nic(n, 1e9, 2 * n, also=(2 * n + 1,)) for n in range(32)), 1, 0.0)
    assert choose(wide, range(64), 32, alone=False) == tuple(range(0, 64, 2))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_other_gpus_have_more_bandwidth_out(data: st.DataObject) -> None:
    gpus = data.draw(st.integers(1, 6))
    index = st.integers(0, gpus - 1)
    nics = data.draw(st.lists(st.builds(Nic, st.just(0), st.sampled_from([1e9, 2e9]), index), max_size=4))
    kind = HostType("box", gpus, tuple(nics), 1, 0.0)
    free = sorted(data.draw(st.sets(index, min_size=1)))
    count = data.draw(st.integers(1, len(free)))

    def out(chosen: tuple[int, ...]) -> float:
        return sum(kind.nics[n].bandwidth_bytes_per_s for n in {n for gpu in chosen for n in kind.nics_of_gpu[gpu]})

    found = choose(kind, free, count, alone=False)
    assert len(set(found)) == count
    assert set(found) <= set(free)
    assert out(found) == max(out(other) for other in combinations(free, count))


def test_gpus_beside_their_nics_come_before_those_that_use_a_neighbours() -> None:
    nics = tuple(Nic(n, 50e9, gpu, f"mlx5_{n}", also=(gpu - 1,)) for n, gpu in enumerate((1, 3, 5, 7)))
    assert choose(HostType("h", 8, nics, 8, 450e9), range(8), 4, alone=False) == (1, 3, 5, 7)
    assert choose(HostType("h", 8, nics, 8, 450e9), (0, 2, 3, 5, 6, 7), 4, alone=False) == (0, 3, 5, 7)


def fabric(kind: HostType, hosts: int, unusable: tuple[tuple[int, int], ...] = ()) -> Fabric:
    return Fabric(
        "f", "adaptive", (kind,), tuple(Host(f"h{h}", 0) for h in range(hosts)), unusable_gpus=frozenset(unusable)
    )


def ring(ranks: int) -> Traffic:
    src = np.arange(ranks, dtype=np.int32)
    size = np.full(ranks, 1e9)
    return Traffic(ranks, ("dp",), src, np.roll(src, -1), size, np.zeros(ranks, np.int8), np.ones(1), np.zeros(1))


def placed(site: Fabric, ranks: int) -> RankPlacement:
    return RankPlacement(site, fill(RankProblem(site, ring(ranks)), np.arange(len(site.hosts))))


def test_only_the_last_host_is_chosen_from_and_broken_gpus_never() -> None:
    found = placed(fabric(SHARED, 2), 11)
    assert found.local.tolist() == [*range(8), 0, 2, 4]
    broken = placed(fabric(SHARED, 2, ((1, 0), (1, 4))), 11)
    assert broken.local.tolist() == [*range(8), 1, 2, 6]  # GPU 5 has a NIC as well, but is not beside it


def test_ranks_that_follow_each_other_share_a_domain() -> None:
    assert placed(fabric(PAIRS, 2), 8).local.tolist() == [0, 3, 1, 2] * 2
    site = fabric(PAIRS, 1)
    assert in_order(site, np.arange(4)).tolist() == [0, 2, 3, 1]
    assert last_host_well(site, np.array([0, 3, 1, 2]), 3).tolist() == [0, 1, 2]  # in the order given
    assert last_host_well(site, np.array([0, 3, 1, 2]), 2).tolist() == [0, 3]


def test_launchers_that_give_gpu_i_to_local_rank_i_get_just_that() -> None:
    problem = RankProblem(fabric(SHARED, 2), ring(11), Capability(Freedom.HOSTS))
    assert fill(problem, np.arange(2)).tolist() == list(range(11))


def test_launchers_show_ranks_their_gpus_and_nics_and_no_others() -> None:
    rows = host_rows(placed(fabric(SHARED, 2), 11))
    assert exports(rows[1]).splitlines() == [
        "export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,2,4",
        'export NCCL_IB_HCA="${NCCL_IB_HCA:-=efa_0,efa_1,efa_2}"',
    ]
    assert rows[0].hcas == ("efa_0", "efa_1", "efa_2", "efa_3")
