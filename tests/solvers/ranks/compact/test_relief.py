"""Expert groups divided anew: who is where stays in order, and the busiest uplink carries less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.solvers.ranks.conftest import Fabrics, Jobs
from topoplan.solvers.ranks.compact.leveller import Leveller
from topoplan.solvers.ranks.compact.search import Compactor
from topoplan.solvers.ranks.problem import Progress, keep_going
from topoplan.solvers.ranks.steering.blocks import contract

LEAVES = [6, 6, 7, 6, 5, 7, 11, 8]  # seven expert groups of eight hosts, as a pod with broken hosts leaves them


@pytest.fixture
def compactor(fabrics: Fabrics, grid_jobs: Jobs) -> Compactor:
    """Seven stages of one expert group each, a rank a host."""
    fabric, job = fabrics(LEAVES, 4, 1), grid_jobs(1, 8, 7, 8)
    hosts = np.arange(job.ranks)
    return Compactor(fabric, contract(fabric, job, hosts, len(hosts)), hosts, np.zeros(len(hosts), np.int64), 0)


def test_divided_cliques_fill_the_same_places_and_spare_uplinks(compactor: Compactor) -> None:
    relief, layout = compactor.relief, compactor.layout
    assert relief is not None
    assert relief.complete
    start = compactor.group
    above, seconds = compactor.uplinks()
    assert relief.busiest_s(start) == pytest.approx(Leveller(layout, start, 0, above, seconds).busiest_s)
    limit = 0.7 * relief.busiest_s(start)
    first, *rest = relief.states(start, limit, 500, range(3))
    for state in (first, *rest):
        assert (np.bincount(state) == np.bincount(start)).all()
    divided = relief.divided(start, limit)
    assert divided is not None
    assert relief.busiest_s(divided) < relief.busiest_s(start)
    again = relief.divided(start, limit)
    assert (divided == again).all()


def test_seats_are_taken_as_they_are_given(compactor: Compactor) -> None:
    seats = compactor.seats
    assert seats is not None
    place = compactor.group
    counts = seats.counts(place)
    wanted = counts[np.random.default_rng(0).permutation(len(counts))]
    assert (seats.adopt(place, wanted) == place).all()  # each clique finds its own seat again
    mixed = seats.counts(np.random.default_rng(1).permutation(place))
    moved = seats.adopt(place, mixed)
    assert sorted(seats.counts(moved).tolist()) == sorted(mixed.tolist())


def test_tolls_part_groups_by_what_their_uplinks_cost(compactor: Compactor) -> None:
    seats = compactor.seats
    assert seats is not None
    counts = seats.counts(compactor.group)
    plain = seats.distances(counts, counts)
    price = np.zeros(8)
    price[2] = 5.0
    toll = seats.distances(counts, counts, [(np.arange(8), price)]) - plain
    assert toll == pytest.approx(5.0 * np.abs(counts[:, None, 2] - counts[None, :, 2]))
    assert not np.diag(plain).any()


def test_search_takes_what_lowers_the_busiest_uplink(compactor: Compactor) -> None:
    relief = compactor.relief
    assert relief is not None

    def busiest(tries: int) -> float:
        hosts = compactor.search(4000, keep_going, 0.2, 1, tries)
        assert sorted(hosts.tolist()) == list(range(56))
        return relief.busiest_s(compactor.group[hosts])

    assert busiest(2) < busiest(0)


def test_search_stops_among_new_shares_when_told(compactor: Compactor) -> None:
    told = []

    def watch(progress: Progress) -> bool:
        told.append(progress.phase)
        return progress.phase != "shares of expert groups"

    hosts = compactor.search(4000, watch, 0.2, 1, 2)
    assert sorted(hosts.tolist()) == list(range(56))
    assert told.count("shares of expert groups") == 1


def test_rings_are_no_cliques(fabrics: Fabrics, grid_jobs: Jobs) -> None:
    fabric, job = fabrics([6, 6, 4], 4, 1), grid_jobs(1, 8, 2)
    hosts = np.arange(job.ranks)
    found = Compactor(fabric, contract(fabric, job, hosts, 16), hosts, np.zeros(16, np.int64), 0)
    assert found.seats is not None
    assert found.relief is None
