"""Counts of NICs, ports and cables, and their price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fabrics import two_leaves
from topoplan.cost.bill import CABLE, NIC, PORT, bill, extra, gpu_hours, parts
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.prices import Prices
from topoplan.studies.fabrics import changed

FABRIC = parse_fabric(two_leaves())  # 12 hosts of 4 NICs; 8 links above each of two leaves


def test_every_nic_and_every_link_is_counted_once() -> None:
    assert parts(FABRIC) == {(NIC, 50e9): 48, (CABLE, 50e9): 48 + 16, (PORT, 50e9): 48 + 2 * 16}


def test_hosts_without_a_switch_need_no_cable() -> None:
    lone = replace(FABRIC, hosts=tuple(replace(host, group=-1) for host in FABRIC.hosts), groups=(), tiers=())
    assert parts(lone) == {(NIC, 50e9): 48}


def test_the_bill_and_what_another_fabric_costs_more() -> None:
    prices = Prices("q", items={NIC: {50e9: 1000.0}, PORT: {None: 10.0}})
    assert bill(prices, FABRIC).total == 48 * 1000 + 80 * 10
    assert bill(prices, FABRIC).unknown == ("cable of 400 Gb/s",)
    denser = extra(prices, FABRIC, changed(FABRIC, {"oversubscription.leaf": 1}))
    assert denser.total == 2 * (48 - 16) * 10  # two ports a link, one link a NIC
    faster = extra(prices, FABRIC, changed(FABRIC, {"nic_bandwidth": "800 Gb/s"}))
    assert "nic of 800 Gb/s" in faster.unknown
    assert extra(prices, FABRIC, FABRIC).lines == ()


@given(ratio=st.floats(0.5, 16), price=st.floats(0.01, 1e6))
def test_what_is_bought_is_the_difference_of_the_bills(ratio: float, price: float) -> None:
    prices = Prices("q", items={item: {None: price} for item in (NIC, PORT, CABLE)})
    other = changed(FABRIC, {"oversubscription.leaf": ratio})
    more = extra(prices, FABRIC, other).total
    assert more == pytest.approx(bill(prices, other).total - bill(prices, FABRIC).total, abs=1e-6 * price)


def test_gpu_hours() -> None:
    assert gpu_hours(1024, 3600.0) == 1024.0
