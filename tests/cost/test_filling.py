"""Max-min fair sharing: textbook cases by hand, and a plain filling of every flow by itself as the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.any_fabric import any_fabric, any_traffic
from topoplan.cost.filling import fill, finish_seconds
from topoplan.cost.price import near_seconds, uplink_seconds
from topoplan.cost.routes import Routes, link_loads
from topoplan.errors import LimitError
from topoplan.model.fabric import FloatArray


def ends(paths: list[list[int]], sizes: list[float], capacity: list[float], most_work: int = 10**9) -> list[float]:
    """Seconds of flows of `sizes` bytes, each over the links of its path."""
    flow = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    link = np.array([index for path in paths for index in path], np.int64)
    return list(fill(flow, link, np.array(sizes, float), np.array(capacity, float), most_work))


def one_by_one(paths: list[list[int]], sizes: list[float], capacity: list[float]) -> list[float]:
    """The same, each flow by itself: raise all rates alike until a link is full, freeze its flows, go on."""
    left, seconds, now = dict(enumerate(sizes)), [0.0] * len(sizes), 0.0
    left = {f: size for f, size in left.items() if size > 0}
    for f in [f for f in left if any(capacity[link] == 0 for link in paths[f])]:
        seconds[f] = float("inf")
        del left[f]
    while left:
        rate: dict[int, float] = {}
        room = list(capacity)
        while len(rate) < len(left):
            waiting = [f for f in left if f not in rate]
            share = {link: room[link] / sum(link in paths[f] for f in waiting) for f in waiting for link in paths[f]}
            tight = min(share, key=lambda link: share[link])
            for f in waiting:
                if tight in paths[f]:
                    rate[f] = share[tight]
                    for link in paths[f]:
                        room[link] -= share[tight]
        step = min(left[f] / rate[f] for f in left)
        now += step
        for f in list(left):
            left[f] -= rate[f] * step
            if left[f] <= 1e-9 * sizes[f]:
                seconds[f] = now
                del left[f]
    return seconds


def test_two_flows_on_one_link() -> None:
    # 5 bytes/s each until the first ends after 2 s; then the other has all 10 for its last 20
    assert ends([[0], [0]], [10, 30], [10]) == pytest.approx([2, 4])


def test_a_long_flow_and_two_short_ones_on_a_chain() -> None:
    # the long flow shares link 0 of 10 with one (5 each), which leaves 15 of link 1's 20 to the other
    assert ends([[0, 1], [0], [1]], [5, 5, 15], [10, 20]) == pytest.approx([1, 1, 1])
    # twice the bytes on the long one: from 1 s on it has both links to itself, and the narrower one holds it up
    assert ends([[0, 1], [0], [1]], [15, 5, 15], [10, 20]) == pytest.approx([2, 1, 1])


def test_longer_than_the_slowest_link() -> None:
    # link 0 passes 12 bytes at 12/s, link 1 passes 9 at 9/s: each takes 1 s. But the third flow gets 4 of link 0 until
    # 0.5 s, when link 1 has long nothing else to pass, and then takes its last 6 bytes over at 9
    assert ends([[0], [0], [0, 1], [1]], [2, 2, 8, 1], [12, 9]) == pytest.approx([0.5, 0.5, 0.5 + 6 / 9, 0.2])


def test_no_capacity_and_no_bytes() -> None:
    assert ends([[0, 1], [1], [0]], [5, 20, 0], [0, 10]) == [np.inf, pytest.approx(2), 0]
    assert ends([], [], [10]) == []


def test_too_many_unlike_flows() -> None:
    sizes = [float(size) for size in range(1, 101)]
    assert max(ends([[0]] * 100, sizes, [10])) == pytest.approx(sum(sizes) / 10)
    with pytest.raises(LimitError, match="unlike"):
        ends([[0]] * 100, sizes, [10], most_work=1000)
    assert ends([[0]] * 100, [3.0] * 100, [10], most_work=1000) == pytest.approx([30.0] * 100)  # one kind


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_kinds_of_flows_end_as_each_by_itself(data: st.DataObject) -> None:
    links = data.draw(st.integers(1, 6))
    capacity = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 7.0]), min_size=links, max_size=links))
    path = st.lists(st.integers(0, links - 1), min_size=1, max_size=3, unique=True)
    paths = data.draw(st.lists(path, min_size=1, max_size=14))
    sizes = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0]), min_size=len(paths), max_size=len(paths)))
    assert ends(paths, sizes, capacity) == pytest.approx(one_by_one(paths, sizes, capacity), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_many_unlike_flows_end_as_each_by_itself(seed: int) -> None:
    """Long enough for rates to be found again from rounds in the middle."""
    rng = np.random.default_rng(seed)
    paths = [rng.choice(15, int(rng.integers(1, 5)), replace=False).tolist() for _ in range(80)]
    sizes, capacity = rng.random(80).tolist(), (0.1 + rng.random(15)).tolist()
    assert ends(paths, sizes, capacity) == pytest.approx(one_by_one(paths, sizes, capacity), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_never_quicker_than_the_slowest_link_nor_slower_than_one_after_another(seed: int) -> None:
    fabric = any_fabric(seed)
    traffic = any_traffic(fabric.gpus, seed, axes=1)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    routes, size = Routes.of_axis(fabric, traffic, gpu, 0), traffic.flows[0].bytes
    seconds = finish_seconds(routes, size)
    loads = link_loads(routes, size)
    busy = [*near_seconds(fabric, loads.scale_up, loads.port), uplink_seconds(fabric, loads)]
    slowest = max(float(part.max(initial=0.0)) for part in busy)
    last = float(seconds.max(initial=0.0))
    assert last >= slowest * (1 - 1e-6)
    assert np.isinf(last) == np.isinf(slowest)
    # in its own time some link of a flow is full as long as it is under way: together no longer than all links' work
    if np.isfinite(last):
        assert last <= sum(float(part.sum()) for part in busy) * (1 + 1e-6)
    alone = np.array([_by_itself(routes, size, flow) for flow in range(min(len(size), 20))])
    assert (seconds[: len(alone)] >= alone * (1 - 1e-6)).all()


def _by_itself(routes: Routes, size_bytes: FloatArray, flow: int) -> float:
    """Seconds of a flow that has the fabric to itself."""
    only = np.zeros_like(size_bytes)
    only[flow] = size_bytes[flow]
    return float(finish_seconds(routes, only)[flow])


def test_all_bytes_arrive_at_full_rate_where_one_link_holds_all_up() -> None:
    """Bytes are conserved: flows of any sizes over one link end when it has passed every byte, in order of size."""
    rng = np.random.default_rng(3)
    sizes = rng.random(50).tolist()
    seconds = np.array(ends([[0]] * 50, sizes, [2.0]))
    order = np.argsort(sizes)
    assert (np.diff(seconds[order]) > 0).all()
    # until the k-th smallest ends, it and all larger ones have passed as many bytes as it has, the smaller all theirs
    ascending = np.array(sizes)[order]
    passed = np.cumsum(ascending) + ascending * np.arange(49, -1, -1)
    np.testing.assert_allclose(seconds[order], passed / 2.0)
