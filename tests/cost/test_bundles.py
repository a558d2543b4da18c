"""GPUs with several NICs use all of them, whichever rails those are on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.cost.price import predict
from topoplan.cost.routes import Routes, link_loads, pooled
from topoplan.model.fabric import Fabric, FloatArray, Group, Host, HostType, Nic, Tier
from topoplan.model.traffic import Traffic

NIC = 25e9


def fabric(kind: HostType, routing: str = "adaptive", rails: int = 4) -> Fabric:
    leaves = tuple(Group(f"l{k}", 0, 0, rails, (2.0,) * rails, NIC) for k in range(2))
    hosts = (Host("a", 0, 1), Host("b", 0, 2))
    return Fabric("f", routing, (kind,), hosts, (Tier("leaf", 10.0), Tier("spine", 20.0)), (Group("s", 1), *leaves))


def box(rail_of: list[int]) -> HostType:
    """Two GPUs with two NICs each."""
    return HostType("box", 2, tuple(Nic(rail, NIC, n // 2) for n, rail in enumerate(rail_of)), 2, 450e9)


def exchange(ranks: int, size: float = 1e9) -> Traffic:
    src = np.arange(ranks, dtype=np.int32)
    return Traffic(
        ranks, ("x",), src, np.roll(src, ranks // 2), np.full(ranks, size), np.zeros(ranks, np.int8), np.ones(1),
        np.zeros(1),
    )  # fmt: skip


@pytest.mark.parametrize("rail_of", [[0, 1, 2, 3], [2, 0, 1, 3], [0, 0, 1, 1]])
def test_both_nics_carry_a_gpu_s_bytes(rail_of: list[int]) -> None:
    site = fabric(box(rail_of), rails=max(rail_of) + 1)
    assert predict(site, exchange(4), np.arange(4)).exposed_ms == pytest.approx(1e3 * 1e9 / (2 * NIC))


def test_bundles_are_the_rails_that_gpus_use_together() -> None:
    assert fabric(box([2, 0, 1, 3])).rail_bundle.tolist() == [0, 1, 0, 1]
    assert fabric(box([0, 0, 1, 1])).rail_bundle.tolist() == [0, 1]
    shared = HostType("s", 4, (Nic(0, NIC, 0, also=(1,)), Nic(1, NIC, 2, also=(3,))), 4, 1e9)
    assert fabric(shared).rail_bundle.tolist() == [0, 1]


def test_uplinks_of_a_bundle_share_what_its_gpus_send() -> None:
    site = fabric(box([0, 1, 2, 3]))
    gpu = np.arange(4)
    routes = Routes.of(site, gpu[:2], gpu[2:])
    loads = link_loads(routes, np.array([8.0, 4.0]))
    assert loads.port[0].reshape(2, 4)[0].tolist() == [4.0, 4.0, 2.0, 2.0]
    assert loads.uplink[0].reshape(3, 4)[1].tolist() == [4.0, 4.0, 2.0, 2.0]


def test_hashing_onto_the_links_of_both_rails_is_no_worse_than_onto_one() -> None:
    kind = HostType("box", 2, tuple(Nic(n, NIC, n) for n in range(2)), 2, 450e9)
    one = predict(fabric(kind, "ecmp", 2), exchange(4), np.arange(4)).exposed_ms
    both = predict(fabric(box([0, 1, 2, 3]), "ecmp"), exchange(4), np.arange(4)).exposed_ms
    assert both < one


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_nothing_is_lost_and_bundles_are_level(data: st.DataObject) -> None:
    rails = data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    site = fabric(box(rails), rails=max(rails) + 1)
    size = site.rails
    numbers = st.lists(st.floats(0, 1e9), min_size=2 * size, max_size=2 * size)
    load: FloatArray = np.array(data.draw(numbers))
    found = pooled(site, load, site.port_bandwidth).reshape(2, size)
    assert found.sum() == pytest.approx(load.sum())
    room = site.port_bandwidth.reshape(2, size)
    seconds = np.divide(found, room, out=np.zeros((2, size)), where=room > 0)
    for bundle in set(site.rail_bundle.tolist()):
        mine = np.flatnonzero((site.rail_bundle == bundle) & (site.port_bandwidth[:size] > 0))
        if len(mine):
            assert np.ptp(seconds[:, mine], axis=1) == pytest.approx([0.0, 0.0])
