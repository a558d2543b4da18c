import numpy as np

from topoplan.model.fabric import IntArray
from topoplan.topologies.hosts.nvlink import join, join_bonds


def bonds(gpus: int, pairs: dict[tuple[int, int], int]) -> IntArray:
    table = np.zeros((gpus, gpus), np.int64)
    for (a, b), links in pairs.items():
        table[a, b] = table[b, a] = links
    return table


def test_switches_join_all_gpus_and_every_pair_shows_all_links() -> None:
    found = join_bonds(bonds(8, {(a, b): 18 for a in range(8) for b in range(a)}), 18)
    assert (set(found.domains), found.size, found.links, found.unequal) == ({0}, 8, 18, False)


def test_direct_cables_add_up() -> None:
    found = join_bonds(bonds(4, {(a, b): 4 for a in range(4) for b in range(a)}), 18)
    assert (found.size, found.links, found.unequal) == (4, 12, False)


def test_pairs_that_are_not_neighbours() -> None:
    found = join_bonds(bonds(4, {(0, 3): 4, (1, 2): 4}), 18)
    assert (found.domains, found.size, found.links) == ((0, 1, 1, 0), 2, 4)


def test_a_cube_mesh_is_one_domain_and_is_called_unequal() -> None:
    ring = {(n, (n + 1) % 8): 2 for n in range(8)} | {(n, n + 4): 1 for n in range(4)}
    found = join_bonds(bonds(8, ring), 18)
    assert (found.size, found.links, found.unequal) == (8, 5, True)


def test_two_switched_halves_stay_apart() -> None:
    halves = {(a, b): 18 for a in range(8) for b in range(a) if a // 4 == b // 4}
    found = join_bonds(bonds(8, halves), 18)
    assert (found.domains, found.links) == ((0, 0, 0, 0, 1, 1, 1, 1), 18)


def test_without_links_every_gpu_is_alone() -> None:
    found = join(np.zeros((3, 3), np.int64), np.zeros(3, np.int64))
    assert (found.domains, found.size, found.links, found.unequal) == ((0, 1, 2), 1, 0, False)
    assert join(np.zeros((2, 2), np.int64), np.array([18, 18])).links == 18
