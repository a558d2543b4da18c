"""How axes communicate: what the records say, and that prices do not notice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.cost.collectives.boxes import NIC, hosts
from topoplan.cost.collectives.schedules import Call
from topoplan.cost.collectives.timing import cheapest
from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric
from topoplan.model.job import Batch, CustomAxis, CustomCollective, Job, Parallel
from topoplan.model.presets import PRESETS
from topoplan.model.traffic import Traffic
from topoplan.planning.collectives import FREE, IN_GROUPS, MATTERS, ORDER, AxisCollective, axis_collectives
from topoplan.planning.solve import job_traffic


def one_axis(op: str, size: int, call_bytes: float = 1e9, count: int = 3) -> Job:
    return Job("j", size, axes=(CustomAxis("x", size, (CustomCollective(op, call_bytes, count),)),))


def found(job: Job, fabric: Fabric, gpu: np.ndarray | None = None) -> list[AxisCollective]:
    placed = np.arange(job.ranks) if gpu is None else gpu
    return list(axis_collectives(job, job_traffic(job, fabric), fabric, placed))


def moe(pp: int = 2, dp: int = 16, ep: int = 16) -> Job:
    parallel = Parallel(pp=pp, dp=dp, ep=ep)
    return Job("moe", parallel.world, PRESETS["deepseek-v3"], parallel, batch=Batch(4096, 1, 8))


def test_the_cheapest_algorithm_is_that_of_the_call_and_its_size() -> None:
    fabric = hosts(4, leaves=2)
    for size in (1e4, 1e9):
        (one,) = found(one_axis("all_reduce", 32, size), fabric)
        offload = frozenset({"nvls"})
        times = cheapest(Call("all_reduce", np.arange(32)[None], size, 8), fabric, np.arange(32), offload)
        assert one.best == times[0]
        assert one.runner_up == times[1]
        assert (one.calls, one.call_bytes, one.groups, one.size) == (3, size, 1, 32)
    assert (
        found(one_axis("all_reduce", 32, 1e4), fabric)[0].best != found(one_axis("all_reduce", 32, 1e9), fabric)[0].best
    )


def test_nvlink_domains_are_those_of_the_placement_not_of_rank_numbers() -> None:
    fabric = hosts(2, 4, leaves=1)
    job = Job("j", 8, axes=(CustomAxis("x", 4, (CustomCollective("all_reduce", 1e9),)), CustomAxis("y", 2, ())))
    together, apart = found(job, fabric), found(job, fabric, np.array([0, 4, 1, 5, 2, 6, 3, 7]))
    assert together[0].best is not None
    assert together[0].best.order_free == "all ranks share an NVLink domain"
    assert apart[0].best is not None
    assert apart[0].best.order_free != "all ranks share an NVLink domain"
    assert apart[0].best.slowest == "nic"


@pytest.mark.parametrize(
    ("routing", "links", "op", "order", "words"),
    [
        ("adaptive", 0.0, "all_reduce", FREE, "as wide as the NICs"),
        ("adaptive", 1.0, "all_reduce", MATTERS, "narrower"),
        ("ecmp", 0.0, "all_reduce", MATTERS, "costs this order nothing"),
        ("ecmp", 0.0, "all_to_all", IN_GROUPS, "every rank sends to every other"),
        ("adaptive", 0.0, "all_to_all", FREE, "as wide as the NICs"),
    ],
)
def test_it_says_whether_order_matters_and_why(routing: str, links: float, op: str, order: str, words: str) -> None:
    fabric = hosts(8, 2, leaves=2, routing=routing, links=links)
    (one,) = found(one_axis(op, 16), fabric)
    assert one.order == order
    assert one.order in ORDER
    assert words in one.why


def test_hashed_flows_meet_where_hosts_of_two_leaves_take_turns() -> None:
    fabric, job = hosts(8, 2, leaves=2, routing="ecmp"), one_axis("all_reduce", 16)
    turns = np.arange(16).reshape(2, 4, 2).transpose(1, 0, 2).ravel()
    (one,) = found(job, fabric, turns)
    assert (one.order, one.why) == (MATTERS, "hashed flows meet on uplinks")
    assert one.hashing.perfect_s < one.hashing.expected_s < one.hashing.p95_s


def test_inside_one_host_order_is_free_whatever_the_network() -> None:
    (one,) = found(one_axis("all_reduce", 8), hosts(4, leaves=2, routing="ecmp"))
    assert (one.order, one.why) == (FREE, "each group stays on one host")


def test_racks_of_hosts_with_nvlink_are_never_free_of_order_beyond_a_host() -> None:
    racks = hosts(8, 4, leaves=2, rack=True)  # adaptive, uplinks as wide as the NICs
    inside, across = found(one_axis("all_reduce", 16), racks), found(one_axis("all_reduce", 32), racks)
    assert (inside[0].order, across[0].order) == (MATTERS, MATTERS)
    assert "another order may split it" in inside[0].why
    assert "which hosts share an NVLink domain" in across[0].why
    assert found(one_axis("all_reduce", 4), racks)[0].order == FREE
    assert found(one_axis("all_to_all", 32), racks)[0].order == IN_GROUPS


def test_one_switch_has_no_order() -> None:
    fabric = hosts(4, 2, routing="ecmp")
    single = replace(
        fabric, groups=(replace(fabric.groups[1], tier=0, parent=-1, uplinks=()),), tiers=fabric.tiers[:1],
        hosts=tuple(replace(host, group=0) for host in fabric.hosts),
    )  # fmt: skip
    (one,) = found(one_axis("all_reduce", 8), single)
    assert (one.order, one.why[:9]) == (FREE, "all hosts")


def test_sharp_is_offered_where_switches_could_reduce_and_would_win() -> None:
    job = one_axis("all_reduce", 64)
    (able,) = found(job, hosts(8, leaves=2, links=1.0))
    assert able.with_sharp is not None
    assert able.best is not None
    assert able.with_sharp.seconds < able.best.seconds
    assert "whatever the order" in able.with_sharp.order_free
    assert "sharp" not in able.best.algorithm
    assert found(job, hosts(8, leaves=2, routing="ecmp"))[0].with_sharp is None
    assert found(one_axis("all_gather", 64), hosts(8, leaves=2))[0].with_sharp is None


def test_perfect_spreading_is_not_slowed() -> None:
    (spread,) = found(one_axis("all_reduce", 16), hosts(16, 1, leaves=4))
    assert spread.hashing.perfect_s == spread.hashing.expected_s == spread.hashing.p95_s


def test_experts_send_once_a_host_and_combine_into_one_nic_of_each_rail() -> None:
    job, fabric = moe(), hosts(4, leaves=2, routing="ecmp")
    traffic = job_traffic(job, fabric)
    ep = next(one for one in found(job, fabric) if one.axis == "ep")
    assert ep.best is not None
    assert ep.best.algorithm == "once a host"
    assert ep.rate is not None
    assert ep.rate.traffic == "moe"
    assert ep.incast is not None
    assert ep.incast.senders == 1  # groups of 16 ranks on two hosts: one other host, on the same rail
    # a step's bytes between hosts are dispatches of FP8 and combines of BF16, twice each
    routing = PRESETS["deepseek-v3"].routing
    assert routing is not None
    flows = traffic.flows[traffic.axes.index("ep")]
    into = np.bincount(flows.dst, flows.bytes * (flows.src // 8 != flows.dst // 8)).max()
    share = routing.combine_bytes / (routing.dispatch_bytes + routing.combine_bytes)
    assert ep.incast.in_bytes * ep.calls / 2 == pytest.approx(into * share)


def test_every_way_to_the_experts_is_priced_with_the_copies_that_it_sends() -> None:
    job, fabric = moe(ep=32, dp=32, pp=1), hosts(4)
    ep = next(one for one in found(job, fabric) if one.axis == "ep")
    assert {way.algorithm for way in ep.ways} == {"once a host", "low latency", "rail", "direct"}
    assert [way.seconds for way in ep.ways] == sorted(way.seconds for way in ep.ways)
    assert (ep.best, ep.runner_up) == ep.ways[:2]
    # 8 copies of a token, and as often its GPU is another one's: by hand, 4,096 tokens of 7,168 values
    routing = PRESETS["deepseek-v3"].routing
    assert routing is not None
    mean_bytes = (routing.dispatch_bytes + routing.combine_bytes) / 2
    assert ep.copies * ep.call_bytes == pytest.approx(4096 * 7168 * mean_bytes * 8)
    low = next(way for way in ep.ways if way.algorithm == "low latency")
    assert low.links_s["nic"] == pytest.approx(4096 * 7168 * mean_bytes * 8 * 3 / 4 / (NIC * 0.94))
    dense = next(one for one in found(job, fabric) if one.axis == "dp")
    assert dense.copies == 1
    assert "low latency" not in {way.algorithm for way in dense.ways}


def test_calls_and_sizes_give_back_the_bytes_of_a_step() -> None:
    job = Job(
        "llama", 128, PRESETS["llama-3.1-405b"], Parallel(tp=8, pp=2, dp=4, cp=2), batch=Batch(8192, 1, 4)
    )  # fmt: skip
    fabric = hosts(16, leaves=2)
    sent = {"tp": 7 / 8, "cp": 1.0, "pp": 2.0, "dp": 7 / 8}
    for part in job_traffic(job, fabric).collectives:
        once = 0.5 if part.axis == "pp" else 1.0  # half of a rank's messages go forward, half back
        assert part.calls * once * part.call_bytes * sent[part.axis] == pytest.approx(part.size_bytes)


def test_measured_traffic_has_no_calls_but_hashing_and_a_reason() -> None:
    src, dst = np.arange(8, dtype=np.int32), np.arange(8, 16, dtype=np.int32)
    traffic = Traffic(
        16, ("all",), src, dst, np.full(8, 1e9), np.zeros(8, np.int8), np.ones(1), np.zeros(1)
    )  # fmt: skip
    fabric = hosts(16, 1, leaves=2, routing="ecmp")
    (one,) = axis_collectives(Job("m", 16, traffic=traffic), traffic, fabric, np.arange(16))
    assert (one.best, one.rate, one.incast) == (None, None, None)
    assert one.hashing.perfect_s == pytest.approx(1e9 / NIC)
    assert one.order == MATTERS


def test_prices_do_not_look_at_calls() -> None:
    job, fabric = moe(), hosts(4, leaves=2, routing="ecmp")
    traffic = job_traffic(job, fabric)
    bare = replace(traffic, collectives=tuple(replace(c, calls=0.0, call_bytes=0.0) for c in traffic.collectives))
    assert predict(fabric, traffic, np.arange(32)) == predict(fabric, bare, np.arange(32))


def test_ranks_that_cannot_reach_each_other_are_told_without_a_crash() -> None:
    fabric = hosts(4, 2, leaves=2, routing="ecmp")
    cut = replace(fabric, groups=tuple(replace(g, parent=-1, uplinks=()) if g.tier == 0 else g for g in fabric.groups))
    (one,) = found(one_axis("all_reduce", 8), cut)
    assert one.best is not None
    assert one.best.seconds == float("inf")
    assert one.hashing.p95_s == float("inf")
