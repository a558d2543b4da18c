"""Jobs that share uplinks: loads add up, a job alone keeps its price, and more neighbours never make it faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.cost.price import predict
from topoplan.cost.shared import Tenant, meeting
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.traffic import Traffic


def _fabric(routing: str = "adaptive") -> Fabric:
    kind = HostType("box", 1, (Nic(0, 50e9, 0),), 1, 450e9)
    groups = (Group("core", 1), *(Group(f"leaf-{k}", 0, 0, 1, (2.0,), 50e9) for k in range(3)))
    hosts = tuple(Host(f"h{i}", 0, 1 + i // 4) for i in range(12))
    return Fabric("f", routing, (kind,), hosts, (Tier("leaf", 10), Tier("core", 20)), groups)


def _ring(ranks: int, size: float = 100e9, axes: int = 1) -> Traffic:
    src = np.tile(np.arange(ranks, dtype=np.int32), axes)
    dst = ((src + 1) % ranks).astype(np.int32)
    axis = np.repeat(np.arange(axes, dtype=np.int8), ranks)
    names = tuple(f"a{i}" for i in range(axes))
    return Traffic(ranks, names, src, dst, np.full(len(src), size), axis, np.ones(axes), np.zeros(axes))


def test_an_uplink_shared_by_two_rings() -> None:
    fabric = _fabric()
    # both go from leaf 0 to leaf 1 and back: 100 GB each on 100 GB/s, NICs take 2 s
    first, second = (Tenant(fabric, _ring(2), np.array(gpu)) for gpu in ([0, 4], [1, 5]))
    assert first.alone.exposed_ms == pytest.approx(2000)
    assert first.beside(second.uplinks) == pytest.approx(2000)  # 1 s + 1 s on the uplink: NICs still bind
    third = Tenant(fabric, _ring(2), np.array([2, 6]))
    assert first.beside(second.uplinks + third.uplinks) == pytest.approx(3000)
    met = meeting([first, second, third], 0)
    assert met is not None
    assert (met.uplink, met.others) == ("leaf-0", (1, 2))
    assert (met.own_ms, met.others_ms) == pytest.approx((1000, 2000))


def test_jobs_under_leaves_of_their_own_never_meet() -> None:
    fabric = _fabric()
    inside, across = Tenant(fabric, _ring(4), np.arange(4)), Tenant(fabric, _ring(4), np.array([4, 5, 8, 9]))
    assert meeting([inside, across], 0) is None
    assert meeting([inside, across], 1) is None
    assert across.beside(inside.uplinks) == across.alone.exposed_ms


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from(["adaptive", "ecmp"]), st.integers(1, 3))
def test_company_never_helps(seed: int, routing: str, axes: int) -> None:
    fabric, rng = _fabric(routing), np.random.default_rng(seed)
    deal = rng.permutation(12)
    me, other = Tenant(fabric, _ring(6, axes=axes), deal[:6]), Tenant(fabric, _ring(6, 3e9), deal[6:])
    price = predict(fabric, me.traffic, me.gpu)
    assert me.beside(np.zeros_like(other.uplinks)) == pytest.approx(price.exposed_ms)
    once, twice = me.beside(other.uplinks), me.beside(2 * other.uplinks)
    assert price.exposed_ms * (1 - 1e-12) <= once <= twice
    assert 1e3 * me.uplinks.max() == pytest.approx(price.busiest_uplink_ms)
