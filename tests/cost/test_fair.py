"""Prices under fair sharing: beside the prices of the slowest links, and of axes at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.any_fabric import any_fabric, any_traffic
from topoplan.cost.fair import fair_price
from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.traffic import Traffic

# two leaves of two hosts with one 50 GB/s NIC each; 50 GB/s between the leaves
KIND = HostType("box", 1, (Nic(0, 50e9, 0),), 1, 450e9)
LEAVES = (Group("core", 1), Group("leaf-0", 0, 0, 1, (1.0,), 50e9), Group("leaf-1", 0, 0, 1, (1.0,), 50e9))
HOSTS = tuple(Host(f"n{h}", 0, 1 + h // 2) for h in range(4))
FABRIC = Fabric("f", "adaptive", (KIND,), HOSTS, (Tier("leaf", 10), Tier("core", 20)), LEAVES)


def _traffic(*flows: tuple[int, int, float, int], exposure: tuple[float, ...] = (1.0, 1.0)) -> Traffic:
    src, dst, size, axis = zip(*flows, strict=True)
    names = tuple("ab"[: len(exposure)])
    return Traffic(
        4, names, np.array(src, np.int32), np.array(dst, np.int32), np.array(size), np.array(axis, np.int8),
        np.array(exposure), np.zeros(len(names)),
    )  # fmt: skip


def test_axes_that_meet_on_an_uplink() -> None:
    # a and b cross from leaf 0 to leaf 1, from hosts and to hosts of their own: half the uplink each until a ends
    price = fair_price(FABRIC, _traffic((0, 2, 50e9, 0), (1, 3, 150e9, 1)), np.arange(4))
    assert price.axes == pytest.approx({"a": 1000, "b": 3000})
    assert price.together == pytest.approx({"a": 2000, "b": 4000})
    assert (price.exposed_ms, price.together_ms) == pytest.approx((4000, 4000))


def test_axes_that_do_not_meet() -> None:
    # the way back is another direction of the uplink
    price = fair_price(FABRIC, _traffic((0, 2, 50e9, 0), (3, 1, 150e9, 1)), np.arange(4))
    assert price.together == price.axes
    assert price.together_ms == pytest.approx(3000)


def test_what_compute_hides_is_not_sent() -> None:
    price = fair_price(FABRIC, _traffic((0, 2, 50e9, 0), (1, 3, 150e9, 1), exposure=(1.0, 0.0)), np.arange(4))
    assert price.axes == pytest.approx({"a": 1000, "b": 0})
    assert price.together == pytest.approx({"a": 1000, "b": 0})


def test_what_cannot_be_followed_is_unknown() -> None:
    sent = [(0, 2, 1e9, 0), *((k % 2, 2 + k % 2, 1e9 * k, 1) for k in range(1, 41))]
    price = fair_price(FABRIC, _traffic(*sent), np.arange(4), most_work=300)
    assert price.axes["a"] == pytest.approx(20)
    assert np.isnan([price.axes["b"], price.exposed_ms, price.together_ms, *price.together.values()]).all()
    full = fair_price(FABRIC, _traffic(*sent), np.arange(4))
    assert full.axes["b"] == pytest.approx(1e3 * 820e9 / 50e9)


def test_no_traffic() -> None:
    nothing, ranks = np.zeros(0), np.zeros(0, np.int32)
    traffic = Traffic(4, (), ranks, ranks, nothing, np.zeros(0, np.int8), nothing, nothing)
    price = fair_price(FABRIC, traffic, np.arange(4))
    assert (price.exposed_ms, price.together_ms) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_never_quicker_than_slowest_links_say(seed: int) -> None:
    fabric = replace(any_fabric(seed), routing="adaptive")
    traffic = any_traffic(fabric.gpus, seed)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    fair, slowest = fair_price(fabric, traffic, gpu), predict(fabric, traffic, gpu)
    for axis in traffic.axes:
        assert fair.axes[axis] >= slowest.axes[axis] * (1 - 1e-6)
    assert fair.together_ms >= max(slowest.axes.values()) * (1 - 1e-6)
