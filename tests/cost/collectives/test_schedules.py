"""Phases against hand-computed cases and against collectives run chunk by chunk."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.collectives.boxes import everyone, hosts
from topoplan.cost.collectives.phases import HandsOver, InNetwork, Multicast, Sends
from topoplan.cost.collectives.schedules import (
    ALGORITHMS,
    EVERYONE,
    OPS,
    Call,
    Schedule,
    once_a_host,
    parents,
    pat_flows,
    schedules,
    tree_flows,
)
from topoplan.cost.routes import Loads
from topoplan.errors import InputError
from topoplan.model.patterns import Flows, expert_all_to_all

BOTH = frozenset({"nvls", "sharp"})


def sums(flows: Flows, ranks: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that each rank sends, and that each receives."""
    return np.bincount(flows.src, flows.bytes, ranks), np.bincount(flows.dst, flows.bytes, ranks)


def added(parts: list[Loads], kind: str) -> np.ndarray:
    """[2, links] bytes of all parts on one kind of link."""
    return np.asarray(np.sum([getattr(part, kind) for part in parts], axis=0))


def by_name(call: Call, offload: frozenset[str] = BOTH) -> dict[str, Schedule]:
    return {schedule.algorithm: schedule for schedule in schedules(call, offload)}


def flows_of(schedule: Schedule) -> Flows:
    (phase,) = schedule.phases
    assert isinstance(phase, Sends)
    return phase.flows


@pytest.mark.parametrize(("op", "sent"), [("all_reduce", 6.0), ("all_gather", 3.0), ("reduce_scatter", 3.0)])
def test_ring_of_four_hosts_sends_what_nccl_tests_say(op: str, sent: float) -> None:
    found = by_name(Call(op, np.arange(4)[None, :], 4.0, 1))["ring"]
    out, into = sums(flows_of(found), 4)
    assert (out == sent).all()
    assert (into == sent).all()
    assert found.phases[0].rounds == (0, 6 if op == "all_reduce" else 3)


def test_ring_rounds_of_two_hosts_of_four() -> None:
    assert by_name(Call("all_reduce", np.arange(8)[None, :], 8.0, 4))["ring"].phases[0].rounds == (12, 2)


@given(st.integers(2, 70))
def test_trees_span_all_ranks_and_their_leaves_are_the_other_ones_inner_nodes(size: int) -> None:
    up = parents(size)
    for node in range(1, size):
        at, steps = node, 0
        while at:
            at, steps = int(up[at - 1]), steps + 1
            assert steps <= size
    inner = set(up.tolist())
    children = np.bincount(up, minlength=size)
    assert children.max() <= 2
    assert not {node for node in inner if node % 2}  # odd nodes are leaves
    if size % 2 == 0:
        assert not inner & {size - 1 - node for node in inner}


@given(st.integers(2, 40))
def test_a_double_tree_moves_each_half_up_and_down_once(size: int) -> None:
    flows = tree_flows(np.arange(size)[None, :], 10.0)
    assert flows.bytes.sum() == pytest.approx(2 * (size - 1) * 10.0)
    out, into = sums(flows, size)
    assert out == pytest.approx(into)
    assert out.max() <= 20.0 + 1e-9  # three edges in one tree, one in the other: 4 halves


@given(st.integers(2, 70))
def test_pat_run_chunk_by_chunk_gathers_everything(size: int) -> None:
    has = [{rank} for rank in range(size)]
    sent: dict[tuple[int, int], int] = defaultdict(int)
    distance = 1 << (size - 1).bit_length() - 1
    while distance:
        before = [set(chunks) for chunks in has]
        for rank in range(size):
            for root in before[rank]:
                offset = (rank - root) % size
                if offset % (2 * distance) == 0 and offset + distance < size:
                    has[(rank + distance) % size].add(root)
                    sent[rank, (rank + distance) % size] += 1
        distance //= 2
    assert all(len(chunks) == size for chunks in has)
    told: dict[tuple[int, int], float] = defaultdict(float)
    flows = pat_flows(np.arange(size)[None, :], 1.0)
    for a, b, amount in zip(flows.src.tolist(), flows.dst.tolist(), flows.bytes.tolist(), strict=True):
        told[a, b] += amount
    assert told == pytest.approx(dict(sent))


def test_pat_sends_few_bytes_far() -> None:
    flows = pat_flows(np.arange(8)[None, :], 1.0)
    far = {int(d - s) % 8: b for s, d, b in zip(flows.src, flows.dst, flows.bytes, strict=True)}
    assert far == {1: 4.0, 2: 2.0, 4: 1.0}


def test_pat_scatters_the_way_back() -> None:
    groups = np.arange(6)[None, :]
    gather, scatter = (flows_of(by_name(Call(op, groups, 6.0, 1))["pat"]) for op in ("all_gather", "reduce_scatter"))
    assert (gather.src == scatter.dst).all()
    assert (gather.dst == scatter.src).all()
    assert (gather.bytes == scatter.bytes).all()
    assert "pat" not in by_name(Call("all_gather", groups, 6.0, 3))


@pytest.mark.parametrize(
    ("op", "out", "into"), [("all_reduce", 9.0, 9.0), ("all_gather", 1.0, 8.0), ("reduce_scatter", 8.0, 1.0)]
)
def test_nvls_pulls_and_multicasts_once(op: str, out: float, into: float) -> None:
    (phase,) = by_name(Call(op, np.arange(8)[None, :], 8.0, 8))["nvls"].phases
    assert isinstance(phase, Multicast)
    assert (phase.out_bytes, phase.in_bytes) == (out, into)


def test_two_levels_of_an_all_reduce_by_hand() -> None:
    """3 hosts of 4, 12 bytes: over NVLink 3/4 x 12 twice, or 12 + 12/4 with multicast; on NICs 2 x 2/3 x 3."""
    fabric = hosts(3, 4)
    found = by_name(Call("all_reduce", everyone(fabric), 12.0, 4))
    gpu = np.arange(12)
    for name, nvlink, nic in (("hierarchical", 18.0, 4.0), ("nvls ring", 15.0, 4.0), ("collnet", 18.0, 3.0)):
        parts = [phase.loads(fabric, gpu) for phase in found[name].phases]
        assert added(parts, "scale_up")[0] == pytest.approx(np.full(12, nvlink)), name
        assert added(parts, "port")[0] == pytest.approx(np.full(12, nic)), name
    tree = [phase.loads(fabric, gpu) for phase in found["nvls tree"].phases]
    # the trees of three hosts: two edges of each carry 1.5 bytes a rail, both ways
    assert added(tree, "port")[0].reshape(3, 4).sum(0) == pytest.approx(np.full(4, 2 * 2 * 2 * 1.5))


def test_sharp_loads_an_uplink_once_whatever_hangs_below() -> None:
    fabric = hosts(8, 2, leaves=2)
    (*_, far) = by_name(Call("all_reduce", everyone(fabric), 16.0, 2))["collnet"].phases
    assert isinstance(far, InNetwork)
    rng = np.random.default_rng(0)
    for order in (np.arange(8), rng.permutation(8)):
        gpu = (order[:, None] * 2 + np.arange(2)).ravel()
        loads = far.loads(fabric, gpu)
        assert (loads.port == 8.0).all()
        assert loads.uplink.reshape(2, 3, 2)[:, 1:].tolist() == [[[8.0, 8.0]] * 2] * 2
        assert not loads.uplink.reshape(2, 3, 2)[:, 0].any()


def test_sharp_under_one_leaf_needs_no_uplink() -> None:
    fabric = hosts(8, 2, leaves=2)
    found = by_name(Call("all_reduce", np.arange(8)[None, :], 16.0, 2))["collnet"]
    assert not found.phases[-1].loads(fabric, np.arange(16)).uplink.any()
    assert "partial sum" in found.order_free


def test_rail_all_to_all_hands_over_what_direct_sends_across_rails() -> None:
    """2 hosts of 2, 4 bytes a rank: 1 byte to each other; one of the two remote bytes changes rails."""
    fabric = hosts(2, 2)
    found = by_name(Call("all_to_all", everyone(fabric), 4.0, 2))
    gpu = np.arange(4)
    hand, send = found["rail"].phases
    assert isinstance(hand, HandsOver)
    assert hand.loads(fabric, gpu).scale_up.tolist() == [[1.0] * 4] * 2
    assert send.loads(fabric, gpu).port.tolist() == [[2.0] * 4] * 2
    assert not send.loads(fabric, gpu).uplink.any()
    direct = found["direct"].phases[0].loads(fabric, gpu)
    assert direct.port.tolist() == [[2.0] * 4] * 2
    assert direct.scale_up.tolist() == [[1.0] * 4] * 2
    # bytes for the other rail climb over the leaf's rail switches
    assert direct.uplink.reshape(2, 2, 2)[:, 1].tolist() == [[2.0, 2.0]] * 2


def test_point_to_point_sends_along_the_chain() -> None:
    (found,) = schedules(Call("p2p", np.array([[0, 8, 16]]), 5.0, 8))
    flows = flows_of(found)
    assert (flows.src.tolist(), flows.dst.tolist(), flows.bytes.tolist()) == ([0, 8], [8, 16], [5.0, 5.0])


def test_neighbours_of_a_ring_pass_one_message_each() -> None:
    (found,) = schedules(Call("ring", np.array([[0, 8, 16]]), 5.0, 8))
    flows = flows_of(found)
    assert (found.algorithm, found.phases[0].rounds) == ("neighbours", (0, 1))
    assert (flows.src.tolist(), flows.dst.tolist(), flows.bytes.tolist()) == ([0, 8, 16], [8, 16, 0], [5.0] * 3)


@pytest.mark.parametrize(
    ("ranks", "there"), [([0, 2, 4], True), ([0, 1, 2, 3], False), ([0, 1, 2], False), ([1, 2, 5, 6, 7], False)]
)
def test_pat_needs_ranks_on_hosts_of_their_own(ranks: list[int], there: bool) -> None:
    assert ("pat" in by_name(Call("all_gather", np.array([ranks]), 1e6, 2))) == there


def test_experts_reached_once_a_host_load_nics_by_hosts_and_nvlink_by_gpus() -> None:
    fabric = hosts(3, 2)
    flows = expert_all_to_all(everyone(fabric), 4.0, 3.0, 2)
    found = once_a_host(Call("all_to_all", everyone(fabric), 1.0, 2), flows)
    loads = found.phases[0].loads(fabric, np.arange(6))
    assert loads.port.tolist() == [[8.0] * 6] * 2  # two other hosts
    assert loads.scale_up.tolist() == [[9.0] * 6] * 2  # one other GPU, tokens of three hosts
    assert found.order_free == EVERYONE


@settings(deadline=None)
@given(
    op=st.sampled_from(OPS),
    domains=st.integers(1, 5),
    members=st.integers(1, 4),
    size=st.floats(1.0, 1e12),
)
def test_bytes_are_conserved_and_enough(op: str, domains: int, members: int, size: float) -> None:
    """Nothing is lost on the way, and no algorithm moves less than the collective needs."""
    if domains * members < 2:
        return
    fabric = hosts(domains, members)
    ranks = domains * members
    need = {"all_gather": (ranks - 1) / ranks, "all_reduce": 1.0, "all_to_all": (ranks - 1) / ranks}.get(op, 0.0)
    for schedule in schedules(Call(op, everyone(fabric), size, members), BOTH):
        parts = [phase.loads(fabric, np.arange(ranks)) for phase in schedule.phases]
        ports, uplinks, nvlinks = (added(parts, kind) for kind in ("port", "uplink", "scale_up"))
        assert ports[0].sum() == pytest.approx(ports[1].sum())
        assert uplinks[0].sum() == pytest.approx(uplinks[1].sum())
        assert (nvlinks[1] + ports[1]).min() >= need * size / members * (1 - 1e-9)
        assert nvlinks.sum() + ports.sum() >= 2 * need * size * (1 - 1e-9)


def test_all_algorithms_are_reached() -> None:
    seen = set()
    for op in OPS:
        for domains, members in ((4, 1), (1, 4), (2, 2)):
            groups = np.arange(domains * members)[None, :]
            seen |= {found.algorithm for found in schedules(Call(op, groups, 1.0, members), BOTH)}
    assert seen == set(ALGORITHMS)


def test_switches_that_do_nothing_leave_the_plain_algorithms() -> None:
    plain = by_name(Call("all_reduce", np.arange(16)[None, :], 1.0, 8), frozenset())
    assert set(plain) == {"ring", "tree", "hierarchical"}


def test_irregular_groups_run_as_a_plain_ring() -> None:
    found = by_name(Call("all_reduce", np.array([[0, 1, 2, 8]]), 4.0, 8))
    assert set(found) == {"ring"}
    assert found["ring"].call.cells is None


@pytest.mark.parametrize(
    ("op", "ranks", "size"),
    [("scan", 4, 1.0), ("all_reduce", 4, 0.0), ("all_reduce", 4, np.inf), ("all_reduce", 1, 1.0)],
)
def test_what_is_no_collective_is_refused(op: str, ranks: int, size: float) -> None:
    with pytest.raises(InputError):
        Call(op, np.arange(ranks)[None, :], size, 1)
