"""Prices against an independent, slow sum over flows, and the hashing formula against Monte Carlo."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from topoplan.cost.hashing import HashedFlows, classify, expected_slowest
from topoplan.cost.price import hop_bytes, predict
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.model.traffic import Traffic

NIC, NVLINK = 50e9, 450e9


def two_pods(routing: str = "adaptive", leaves: int = 4, hosts: int = 3, gpus: int = 2) -> Fabric:
    kind = HostType("box", gpus, tuple(Nic(i, NIC, i) for i in range(gpus)), gpus, NVLINK)
    groups = [Group("core", 2)]
    groups += [Group(f"pod-{p}", 1, 0, gpus, (3.0,) * gpus, NIC) for p in range(leaves // 2)]
    groups += [Group(f"leaf-{k}", 0, 1 + k // 2, gpus, (2.0,) * gpus, NIC) for k in range(leaves)]
    first = 1 + leaves // 2
    machines = tuple(Host(f"n{i}", 0, first + i // hosts) for i in range(leaves * hosts))
    tiers = (Tier("leaf", 10.0), Tier("pod", 20.0), Tier("core", 40.0))
    return Fabric("f", routing, (kind,), machines, tiers, tuple(groups))


def random_traffic(ranks: int, flows: int, seed: int, axes: int = 2) -> Traffic:
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, ranks, (2, flows)).astype(np.int32)
    return Traffic(
        ranks,
        tuple(f"a{i}" for i in range(axes)),
        src,
        dst,
        rng.random(flows) * 1e9,
        rng.integers(0, axes, flows).astype(np.int8),
        np.linspace(0.3, 1, axes),
        np.zeros(axes),
    )


def slow_price(fabric: Fabric, traffic: Traffic, gpu: np.ndarray) -> tuple[float, float]:
    """exposed_ms with perfect spreading and hop_bytes, flow by flow."""
    total = hops = 0.0
    for a in range(len(traffic.axes)):
        load: dict[tuple[object, ...], float] = defaultdict(float)
        for s, d, b, axis in zip(traffic.src, traffic.dst, traffic.bytes, traffic.axis, strict=True):
            x, y = int(gpu[s]), int(gpu[d])
            if axis != a or x == y:
                continue
            hx, hy = int(fabric.gpu_host[x]), int(fabric.gpu_host[y])
            if hx == hy:
                load["nv", x, "out"] += b / NVLINK
                load["nv", y, "in"] += b / NVLINK
                continue
            rail = int(fabric.gpu_local[y])
            load["nic", hx, rail, "out"] += b / NIC
            load["nic", hy, rail, "in"] += b / NIC
            distance = 10.0
            gx, gy = fabric.hosts[hx].group, fabric.hosts[hy].group
            while gx != gy:
                load[gx, rail, "up"] += b / (fabric.groups[gx].uplinks[rail] * NIC)
                load[gy, rail, "down"] += b / (fabric.groups[gy].uplinks[rail] * NIC)
                gx, gy = fabric.groups[gx].parent, fabric.groups[gy].parent
                distance *= 2
            hops += b * distance
        total += 1e3 * traffic.exposure[a] * max(load.values(), default=0.0)
    return total, hops


@pytest.mark.parametrize("seed", range(4))
def test_adaptive_price_is_the_slow_sum(seed: int) -> None:
    fabric = two_pods()
    traffic = random_traffic(fabric.gpus, 200, seed)
    gpu = np.random.default_rng(seed).permutation(fabric.gpus)
    exposed, hops = slow_price(fabric, traffic, gpu)
    price = predict(fabric, traffic, gpu)
    assert price.exposed_ms == pytest.approx(exposed)
    assert price.ideal_ms == pytest.approx(exposed)
    assert price.hop_bytes == pytest.approx(hops)
    assert hop_bytes(fabric, traffic, gpu) == price.hop_bytes
    assert sum(price.axes.values()) == pytest.approx(price.exposed_ms)


def test_hashing_never_beats_perfect_spreading() -> None:
    fabric = two_pods("ecmp")
    traffic = random_traffic(fabric.gpus, 60, 1)
    price = predict(fabric, traffic, np.arange(fabric.gpus))
    assert price.exposed_ms >= price.ideal_ms - 1e-9


def test_less_than_a_link_is_one_slower_link() -> None:
    """Four links that eight rails share: every flow meets its half link, so that hashing changes nothing."""
    fabric = two_pods("ecmp")
    groups = tuple(replace(g, uplinks=tuple(0.5 for _ in g.uplinks)) for g in fabric.groups)
    halves = replace(fabric, groups=groups)
    assert set(halves.uplink_links) == {0.0, 1.0}
    traffic = random_traffic(fabric.gpus, 60, 1)
    price = predict(halves, traffic, np.arange(fabric.gpus))
    assert price.exposed_ms == pytest.approx(price.ideal_ms)
    adaptive = predict(replace(halves, routing="adaptive"), traffic, np.arange(fabric.gpus))
    assert price.ideal_ms == pytest.approx(adaptive.exposed_ms)


@pytest.mark.parametrize(
    ("links", "counts", "sizes"),
    [(32, [64] * 8, [1.0]), (16, [8, 40, 12], [1.0]), (32, [32] * 4, [1.0, 0.37]), (64, [400] * 3, [1.0, 0.5, 0.1])],
)
def test_expected_slowest_link_agrees_with_monte_carlo(links: int, counts: list[int], sizes: list[float]) -> None:
    """Within 3 % of 4,000 draws: what one link too many or a forgotten class would break."""
    rng = np.random.default_rng(0)
    size = np.array(sizes)
    _, steps, step = classify(size * 4)
    flows = HashedFlows(
        np.array([[float(n)] * len(steps) for n in counts]),
        steps,
        step,
        np.zeros(len(counts)),
        np.full(len(counts), float(links)),
        np.full(len(counts), 1.0),
    )
    draws = []
    for _ in range(4000):
        worst = 0.0
        for n in counts:
            link = rng.integers(0, links, n * len(sizes))
            worst = max(worst, np.bincount(link, np.repeat(size, n)).max())
        draws.append(worst)
    assert expected_slowest(flows, 0.0) == pytest.approx(float(np.mean(draws)), rel=0.03)
    floor = float(np.mean(draws))
    assert expected_slowest(flows, floor) == pytest.approx(float(np.mean(np.maximum(draws, floor))), rel=0.03)


def test_bytes_without_a_link_take_for_ever() -> None:
    fabric = two_pods()
    groups = tuple(
        Group(g.name, g.tier, g.parent, g.rails, (0.0, 2.0), g.link_bandwidth_bytes_per_s) if g.name == "leaf-0" else g
        for g in fabric.groups
    )
    cut = Fabric("f", "ecmp", fabric.host_types, fabric.hosts, fabric.tiers, groups)
    price = predict(cut, random_traffic(cut.gpus, 200, 2), np.arange(cut.gpus))
    assert price.exposed_ms == float("inf")


def test_an_island_wider_than_a_host_uses_nvlink() -> None:
    kind = HostType("tray", 2, (Nic(0, NIC, 0), Nic(1, NIC, 1)), 2, NVLINK)
    hosts = tuple(Host(f"t{i}", 0, 0) for i in range(3))
    fabric = Fabric(
        "f", "adaptive", (kind,), hosts, (Tier("leaf", 10.0),), (Group("leaf", 0),), (Island("r", (0, 1), 9e11),)
    )
    traffic = Traffic(
        6, ("x",), np.array([0, 0], np.int32), np.array([2, 4], np.int32), np.array([9e9, 5e9]), np.zeros(2, np.int8),
        np.ones(1), np.zeros(1),
    )  # fmt: skip
    price = predict(fabric, traffic, np.arange(6))
    assert price.exposed_ms == pytest.approx(1e3 * 5e9 / NIC)
    assert price.hop_bytes == 5e9 * 10


def test_dual_tor_splits_evenly_over_planes() -> None:
    kind = HostType("box", 1, (Nic(0, NIC, 0), Nic(0, NIC, 0)), 1, NVLINK)
    groups = (Group("core", 1), *(Group(f"tor-{i}", 0, 0, 1, (1.0,), NIC) for i in range(4)))
    pairs = [(1, 2), (3, 4)]
    hosts = tuple(Host(f"h{i}", 0, attach=(Attachment(0, a, 0), Attachment(1, b, 1))) for i, (a, b) in enumerate(pairs))
    fabric = Fabric("f", "adaptive", (kind,), hosts, (Tier("tor", 10.0), Tier("core", 20.0)), groups)
    traffic = Traffic(
        2, ("x",), np.array([0], np.int32), np.array([1], np.int32), np.array([8e9]), np.zeros(1, np.int8), np.ones(1),
        np.zeros(1),
    )  # fmt: skip
    price = predict(fabric, traffic, np.arange(2))
    assert price.exposed_ms == pytest.approx(1e3 * 4e9 / NIC)
    assert {load.link: load.bytes for load in price.busiest_links}["uplink tor-0"] == 4e9


def test_missing_rail_leaves_on_the_senders_own() -> None:
    full = HostType("full", 2, (Nic(0, NIC, 0), Nic(1, NIC, 1)), 2, NVLINK)
    half = HostType("half", 1, (Nic(0, NIC, 0),), 1, NVLINK)
    groups = (Group("spine", 1), Group("leaf", 0, 0, 2, (1.0, 1.0), NIC))
    fabric = Fabric(
        "f",
        "adaptive",
        (full, half),
        (Host("a", 0, 1), Host("b", 1, 1)),
        (Tier("leaf", 10.0), Tier("spine", 20.0)),
        groups,
    )
    # b has no NIC on rail 1: its bytes to a's GPU 1 leave on rail 0 and turn in the spine
    traffic = Traffic(
        3, ("x",), np.array([2], np.int32), np.array([1], np.int32), np.array([5e9]), np.zeros(1, np.int8), np.ones(1),
        np.zeros(1),
    )  # fmt: skip
    price = predict(fabric, traffic, np.arange(3))
    links = {load.link for load in price.busiest_links}
    assert any(link.startswith("uplink leaf") for link in links)
