"""Times: by hand, the cheaper algorithm by size, and when order makes no difference."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cost.collectives.boxes import NIC, NVLINK, everyone, hosts
from topoplan.cost.collectives.rates import LATENCY, RATES, SATURATION, link_class, rate
from topoplan.cost.collectives.saturating import Saturating, fit, slowdown
from topoplan.cost.collectives.schedules import OPS, Call, low_latency, once_a_host, schedules
from topoplan.cost.collectives.timing import cheapest, offload, timing, unordered
from topoplan.cost.moe_time import NIC_EFFICIENCY
from topoplan.errors import InputError
from topoplan.model.patterns import expert_all_to_all
from topoplan.studies.validation.kernels import FEWEST_TOKENS, PHASES, TOP_K, token_bytes
from topoplan.studies.validation.points import read

BOTH = frozenset({"nvls", "sharp"})
GIB = 2.0**30


def test_an_all_reduce_of_twelve_hosts_by_hand() -> None:
    fabric = hosts(12)
    call = Call("all_reduce", everyone(fabric), GIB, 8)
    found = {one.algorithm: one for one in cheapest(call, fabric, np.arange(96))}["hierarchical"]
    hops, form = LATENCY["ring"], SATURATION["infiniband"]
    latency = hops.base_s + 2 * 7 * hops.inside_s + 2 * 11 * hops.across_s
    nic = 2 * 11 / 12 * GIB / 8 / (NIC * rate("infiniband", "ring", NIC).share)
    assert found.latency_s == pytest.approx(latency)
    assert found.links_s["nic"] == pytest.approx(nic)
    assert found.seconds == pytest.approx(latency + nic * (1 + (form.half_bytes / GIB) ** form.power))
    assert found.slowest == "nic"
    assert {(row.link, row.traffic) for row in found.rates} == {("nvlink", "ring"), ("infiniband", "ring")}


def test_phases_on_the_same_link_add_up() -> None:
    fabric = hosts(2, 4)
    call = Call("all_reduce", everyone(fabric), GIB, 4)
    found = {one.algorithm: one for one in cheapest(call, fabric, np.arange(8))}["hierarchical"]
    assert found.links_s["nvlink"] == pytest.approx(2 * 3 / 4 * GIB / (NVLINK * 0.812))


def test_trees_win_small_messages_and_rings_large_ones() -> None:
    fabric = hosts(64, 1)
    gpu = np.arange(64)
    best = [cheapest(Call("all_reduce", everyone(fabric), b, 1), fabric, gpu)[0].algorithm for b in (1e3, 1e9)]
    assert best == ["tree", "ring"]
    small = cheapest(Call("all_gather", everyone(fabric), 1e3, 1), fabric, gpu)
    assert small[0].algorithm == "pat"


def test_the_quickest_comes_first_and_larger_is_never_quicker() -> None:
    fabric = hosts(4)
    for op in OPS:
        before = 0.0
        for size in (1e3, 1e6, 1e9):
            found = cheapest(Call(op, everyone(fabric), size, 8), fabric, np.arange(32), BOTH)
            assert [one.seconds for one in found] == sorted(one.seconds for one in found)
            assert found[0].seconds > before
            before = found[0].seconds


def test_nvls_beats_the_ring_from_a_few_gpus_on() -> None:
    fabric = hosts(1)

    def best(gpus: int) -> str:
        groups = np.arange(gpus)[None, :]
        return cheapest(Call("all_reduce", groups, 8 * GIB, 8), fabric, np.arange(8), BOTH)[0].algorithm

    assert [best(n) for n in (2, 8)] == ["ring", "nvls"]


@pytest.mark.parametrize(
    ("routing", "links", "free"), [("adaptive", 0.0, True), ("adaptive", 2.0, False), ("ecmp", 0.0, False)]
)
def test_order_is_worth_nothing_where_spreading_is_perfect(routing: str, links: float, free: bool) -> None:
    fabric = hosts(8, 2, leaves=2, routing=routing, links=links)
    assert bool(unordered(fabric)) is free
    call = Call("all_reduce", everyone(fabric), GIB, 2)
    rng = np.random.default_rng(1)
    times = set()
    for order in (np.arange(8), *(rng.permutation(8) for _ in range(5))):
        gpu = (order[:, None] * 2 + np.arange(2)).ravel()
        found = {one.algorithm: one for one in cheapest(call, fabric, gpu, BOTH)}
        times.add(round(found["hierarchical"].seconds, 9))
        assert bool(found["hierarchical"].order_free) is free
        assert found["collnet"].order_free
    assert len(times) == 1 or not free
    if links == 2.0:
        assert len(times) > 1  # a ring that crosses the narrow uplinks more often is slower


def test_in_network_reduction_times_do_not_depend_on_order() -> None:
    fabric = hosts(8, 2, leaves=2, links=1.0)
    rng = np.random.default_rng(2)
    times = set()
    for _ in range(6):
        gpu = (rng.permutation(8)[:, None] * 2 + np.arange(2)).ravel()
        found = {
            one.algorithm: one for one in cheapest(Call("all_reduce", everyone(fabric), GIB, 2), fabric, gpu, BOTH)
        }
        times.add(found["collnet"].seconds)
    assert len(times) == 1


def test_every_link_and_traffic_has_a_rate_with_a_source() -> None:
    for row in RATES:
        assert 0 < row.share <= 1
        assert row.source
    fabric = hosts(2)
    for op in OPS:
        for schedule in schedules(Call(op, everyone(fabric), GIB, 8), BOTH):
            found = timing(schedule, fabric, np.arange(16))
            assert np.isfinite(found.seconds)
            assert found.rates


def test_link_classes() -> None:
    assert link_class(hosts(2), "nic") == "infiniband"
    assert link_class(hosts(2, routing="ecmp"), "uplink") == "ethernet"
    assert link_class(hosts(2), "nvlink") == "nvlink"
    assert link_class(hosts(4, leaves=2, rack=True), "nvlink") == "rack"
    assert rate("rack", "ring", 900e9) == rate("nvlink", "ring", 900e9)
    assert rate("nvlink", "ring", 420e9).line_bytes_per_s == 450e9


def test_a_saturating_fit_finds_what_made_its_points() -> None:
    truth = Saturating(12e-6, 3e11, 4e6, 0.5)
    sizes = np.array([2.0**k for k in range(9, 31)])
    found = fit(sizes, truth.seconds(sizes))
    assert found.seconds(sizes) == pytest.approx(truth.seconds(sizes), rel=1e-3)
    assert (found.start_s, found.power) == pytest.approx((truth.start_s, truth.power), rel=1e-2)
    assert fit(sizes, truth.seconds(sizes)) == found


def test_half_the_bandwidth_is_reached_at_the_half_size() -> None:
    assert slowdown(np.array([4e6]), 4e6, 0.3).tolist() == [2.0]
    assert slowdown(np.array([4e12]), 4e6, 0.9)[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("sizes", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 0.0]])
def test_too_little_to_fit_is_refused(sizes: list[float]) -> None:
    with pytest.raises(InputError):
        fit(np.array(sizes), np.ones(len(sizes)))


def test_a_dispatch_takes_kernel_latency_and_its_bytes_at_the_rate_of_deepep() -> None:
    fabric = hosts(4, 2)
    flows = expert_all_to_all(everyone(fabric), 1e6, 1e5, 2)
    found = timing(once_a_host(Call("all_to_all", everyone(fabric), 1e5, 2), flows), fabric, np.arange(8))
    assert found.seconds == pytest.approx(LATENCY["moe"].base_s + 3e6 / (NIC * NIC_EFFICIENCY))


@pytest.mark.parametrize("machines", [2, 4, 8])
@pytest.mark.parametrize("phase", PHASES)
def test_low_latency_kernels_take_as_long_as_measured(machines: int, phase: str) -> None:
    points = read("deepep_low_latency").where(hosts=machines)
    fabric = hosts(machines)
    for tokens, us in zip(points.numbers("tokens"), points.numbers(f"{phase}_us"), strict=True):
        if tokens >= FEWEST_TOKENS:
            call = Call("all_to_all", everyone(fabric), tokens * token_bytes(phase) * TOP_K, 8)
            found = timing(low_latency(call), fabric, np.arange(fabric.gpus))
            assert found.seconds * 1e6 == pytest.approx(us, rel=0.12)
            assert found.slowest == "nic"


def test_rails_without_a_switch_in_common_take_no_direct_copies() -> None:
    joined = hosts(4, 2, leaves=2)
    apart = replace(joined, groups=(replace(joined.groups[0], rails=2, uplinks=(0.0, 0.0)), *joined.groups[1:]))
    call = Call("all_to_all", everyone(joined), 1e6, 2)
    times = {
        fabric: {t.algorithm: t.seconds for t in cheapest(call, fabric, np.arange(8))} for fabric in (joined, apart)
    }
    assert np.isfinite(list(times[joined].values())).all()
    assert times[apart]["direct"] == np.inf
    assert times[apart]["rail"] == times[joined]["rail"]
    assert timing(low_latency(call), apart, np.arange(8)).seconds == np.inf
    alike = Call("all_to_all", np.arange(8)[None, ::2], 1e6, 1)  # ranks of one rail alone
    assert np.isfinite(timing(low_latency(alike), apart, np.arange(8)).seconds)


def test_a_message_takes_latency_and_its_bytes_however_small() -> None:
    fabric = hosts(2, 1)
    (found,) = cheapest(Call("p2p", everyone(fabric), 1e4, 1), fabric, np.arange(2))
    hops = LATENCY["p2p"]
    share = rate("infiniband", "p2p", NIC).share
    assert found.seconds == pytest.approx(hops.base_s + hops.across_s + 1e4 / (NIC * share))


def test_switches_multicast_on_fast_links_that_join_more_than_two_gpus() -> None:
    assert offload(hosts(2, 8)) == {"nvls"}
    assert offload(hosts(2, 2)) == frozenset()  # pairs have a bridge, no switch
    assert offload(hosts(4, 2, leaves=2, rack=True)) == {"nvls"}  # racks of four


def test_the_order_of_hosts_decides_who_shares_a_rack() -> None:
    assert unordered(hosts(4, 2, leaves=2))
    assert not unordered(hosts(4, 2, leaves=2, rack=True))
