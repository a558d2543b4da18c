"""The distribution of the slowest hashed link, against Monte Carlo."""

import numpy as np
import pytest

from topoplan.cost.hashing import HashedFlows, Slowest, expected_slowest, slowest_link


def uplinks(count: int, pairs: int, links: int) -> HashedFlows:
    """`count` uplinks of `links` links of 1 B/s, each crossed by `pairs` queue pairs of one byte."""
    return HashedFlows(
        np.full((count, 1), float(pairs)),
        np.ones(1, np.int64),
        1.0,
        np.zeros(count),
        np.full(count, float(links)),
        np.ones(count),
    )


def thrown(count: int, pairs: int, links: int, rounds: int = 4000) -> np.ndarray:
    """[rounds] most queue pairs on one link, thrown at random."""
    rng = np.random.default_rng(7)
    key = rng.integers(0, links, (rounds, count, pairs)) + links * np.arange(count)[:, None]
    return np.array([np.bincount(row.ravel()).max() for row in key])


@pytest.mark.parametrize(("count", "pairs", "links"), [(4, 64, 16), (16, 128, 32), (1, 400, 8)])
def test_quantiles_are_those_of_monte_carlo(count: int, pairs: int, links: int) -> None:
    found, drawn = slowest_link(uplinks(count, pairs, links), 0.0), thrown(count, pairs, links)
    assert found.expected_s == pytest.approx(drawn.mean(), rel=0.03)
    for share in (0.5, 0.95):
        assert abs(found.quantile_s(share) - np.quantile(drawn, share)) <= 1


def test_the_expectation_is_that_of_the_distribution() -> None:
    flows = uplinks(8, 96, 16)
    assert expected_slowest(flows, 0.0) == slowest_link(flows, 0.0).expected_s
    assert slowest_link(flows, 0.0).quantile_s(0.95) > expected_slowest(flows, 0.0)


def test_other_links_are_a_floor() -> None:
    flows = uplinks(4, 64, 16)
    assert slowest_link(flows, 1e3).quantile_s(0.05) == slowest_link(flows, 1e3).expected_s == 1e3


def test_without_uplinks_nothing_is_hashed() -> None:
    none = slowest_link(uplinks(0, 1, 1), 2.0)
    assert none.expected_s == none.quantile_s(0.95) == 2.0


def test_bytes_on_an_uplink_without_links_never_arrive() -> None:
    assert slowest_link(uplinks(1, 4, 0), 0.0).quantile_s(0.5) == np.inf


def test_a_quantile_is_the_first_moment_exceeded_no_more_often() -> None:
    by_hand = Slowest(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.05, 0.0]))
    assert by_hand.expected_s == 1 + 0.5 + 0.05
    assert [by_hand.quantile_s(share) for share in (0.4, 0.6, 0.94, 0.96)] == [1.0, 2.0, 2.0, 3.0]
