"""Which NIC serves which GPU, checked against every assignment there is."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.topologies.hosts.near import MAX_OWN, Path, nearest, pair

LEVELS = [Path.PIX, Path.PXB, Path.PHB, Path.NODE, Path.SYS]


def served(rows: list[list[Path]], hops: list[list[int]] | None = None) -> list[tuple[int, ...]]:
    path = np.array(rows, np.int64)
    return pair(path, np.zeros_like(path) if hops is None else np.array(hops, np.int64))


def test_scrambled_nics_are_found_by_path_not_by_index() -> None:
    order = [3, 0, 2, 1]
    rows = [[Path.PIX if n == order[g] else Path.NODE for n in range(4)] for g in range(4)]
    assert served(rows) == [(1,), (3,), (2,), (0,)]


def test_gpus_at_equal_distance_get_different_nics() -> None:
    assert served([[Path.PXB] * 2] * 2) == [(0,), (1,)]
    assert served([[Path.SYS] * 4] * 4) == [(0,), (1,), (2,), (3,)]


def test_hops_decide_between_equal_paths() -> None:
    # GPU 1 sits beside NIC 0, and GPU 0 is as far from both, as in a DGX A100
    assert served([[Path.PXB] * 2] * 2, [[5, 5], [3, 5]]) == [(1,), (0,)]


def test_gpus_share_where_nics_are_fewer_and_evenly() -> None:
    assert served([[Path.PIX], [Path.PIX]]) == [(0, 1)]
    rows = [[Path.PXB, Path.NODE], [Path.NODE, Path.PXB]] + [[Path.NODE] * 2] * 2 + [[Path.SYS] * 2] * 4
    found = served(rows)
    assert sorted(len(gpus) for gpus in found) == [4, 4]
    assert (found[0][0], found[1][0]) == (0, 1)


def test_several_nics_of_one_gpu_are_all_its_own_up_to_as_many_as_hosts_have() -> None:
    rows = [[Path.PIX] * 4 + [Path.NODE] * 4, [Path.NODE] * 4 + [Path.PIX] * 4]
    assert served(rows) == [(0,)] * 4 + [(1,)] * 4
    assert sum(map(len, served([[Path.PIX] * 16]))) == MAX_OWN


def test_nics_that_no_gpu_is_nearest_to_are_of_other_networks() -> None:
    rows = np.array([[Path.PIX, Path.PXB, Path.NODE], [Path.PXB, Path.PXB, Path.NODE]])
    assert nearest(rows).tolist() == [True, True, False]
    lone = np.array([[Path.PIX, Path.SYS], [Path.SYS, Path.PHB]])
    assert nearest(lone).tolist() == [True, True]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_assignment_shares_less_or_is_shorter(data: st.DataObject) -> None:
    gpus, nics = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    table = st.lists(st.lists(st.sampled_from(LEVELS), min_size=nics, max_size=nics), min_size=gpus, max_size=gpus)
    lengths = st.lists(st.lists(st.integers(2, 6), min_size=nics, max_size=nics), min_size=gpus, max_size=gpus)
    path, hops = np.array(data.draw(table), np.int64), np.array(data.draw(lengths), np.int64)
    found = pair(path, hops)
    first = path == path.min(axis=1, keepdims=True)

    def worth(choice: tuple[int, ...]) -> tuple[int, int]:
        count = [choice.count(n) for n in range(nics)]
        return sum(c * (c - 1) // 2 for c in count), sum(int(hops[g, n]) for g, n in enumerate(choice))

    allowed = [c for c in product(range(nics), repeat=gpus) if all(first[g, n] for g, n in enumerate(c))]
    users = [[n for n in range(nics) if g in found[n] and first[g, n]] for g in range(gpus)]
    assert all(users), "every GPU has a NIC, and one with its nearest path"
    assert min(map(worth, allowed)) == min(worth(c) for c in product(*users))
