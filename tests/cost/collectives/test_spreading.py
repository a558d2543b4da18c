"""Slowdown by hashing against Monte Carlo, and incast by hand."""

import numpy as np
import pytest

from tests.cost.collectives.boxes import NIC, hosts
from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.cost.collectives.spreading import Incast, hashing, incast
from topoplan.model.patterns import Flows, all_to_all, join, ring


def test_hashing_slows_down_as_thrown_queue_pairs_do() -> None:
    """16 hosts of one GPU on two leaves, every host of the first sends 1 GB to its like on the second."""
    fabric = hosts(16, 1, leaves=2, routing="ecmp")
    flows = Flows(np.arange(8), np.arange(8, 16), np.full(8, 1e9))
    found = hashing(fabric, np.arange(16), flows)
    rng, most = np.random.default_rng(3), []
    for _ in range(4000):
        up, down = (np.bincount(rng.integers(0, 8, 8 * QUEUE_PAIRS)).max() for _ in range(2))
        most.append(max(up, down) / QUEUE_PAIRS)
    assert found.perfect_s == pytest.approx(1e9 / NIC)
    assert found.expected == pytest.approx(np.mean(most), rel=0.03)
    assert found.p95 == pytest.approx(np.quantile(most, 0.95), abs=1 / QUEUE_PAIRS)


def test_adaptive_routing_does_not_hash() -> None:
    fabric = hosts(16, 1, leaves=2)
    found = hashing(fabric, np.arange(16), Flows(np.arange(8), np.arange(8, 16), np.full(8, 1e9)))
    assert (found.expected, found.p95) == (1.0, 1.0)


def test_traffic_under_one_leaf_does_not_hash() -> None:
    fabric = hosts(16, 1, leaves=2, routing="ecmp")
    found = hashing(fabric, np.arange(16), ring(np.arange(8)[None, :], 1e9))
    assert found.p95_s == found.expected_s == found.perfect_s


def test_no_traffic_is_not_slowed_down() -> None:
    assert hashing(hosts(2, routing="ecmp"), np.arange(16), join([])).p95 == 1.0
    assert incast(hosts(2), np.arange(16), join([])) == Incast(0, 0.0, 1.0)


def test_incast_of_an_even_exchange() -> None:
    fabric = hosts(4, 2)
    found = incast(fabric, np.arange(8), all_to_all(np.arange(8)[None, :], 7.0))
    assert found == Incast(3, 6.0, 1.0)  # PXN: from each other host one NIC of its rail, with two GPUs' bytes


def test_incast_of_one_hot_receiver() -> None:
    fabric = hosts(4, 1)
    flows = Flows(np.array([0, 1, 2, 3]), np.array([3, 3, 3, 0]), np.array([4.0, 4.0, 4.0, 2.0]))
    assert incast(fabric, np.arange(4), flows) == Incast(3, 12.0, 12 / 7)
