"""Closed forms of pipeline schedules against the operations run one by one, and against known bubble ratios."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.cost.schedules import SCHEDULES, Pass, schedule_named
from topoplan.cost.schedules.events import play
from topoplan.cost.schedules.orders import orders
from topoplan.errors import InputError

SECONDS = st.floats(0.1, 3.0)


def simulated(name: str, work: Pass) -> float:
    """End of the last operation."""
    p, m, v = work.ranks, work.micro_batches, work.virtual
    seconds = [
        {"F": f / v, "B": b / v, "W": w / v, "BW": (b + w) / v}
        for f, b, w in zip(work.forward, work.backward, work.weights, strict=True)
    ]
    turns = orders(name, p, m, v)
    assert turns is not None
    return max(slot.end_s for slot in play(turns, lambda rank, op: seconds[rank][op[0]], p * v, work.hop_s))


def alike(p: int, m: int, f: float = 1.0, b: float = 1.0, w: float = 1.0, v: int = 1, hop: float = 0.0) -> Pass:
    return Pass(np.full(p, f), np.full(p, b), np.full(p, w), m, v, hop)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 30), SECONDS, SECONDS, SECONDS, st.floats(0, 0.05))
def test_1f1b_is_exact(p: int, m: int, f: float, b: float, w: float, hop: float) -> None:
    work = alike(p, m, f, b, w, hop=hop)
    assert SCHEDULES["1f1b"].timing(work).total_s == pytest.approx(simulated("1f1b", work))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(1, 5), st.integers(2, 4), SECONDS, SECONDS, SECONDS, st.floats(0, 0.01))
def test_interleaved_is_exact(p: int, rounds: int, v: int, f: float, b: float, w: float, hop: float) -> None:
    work = alike(p, rounds * p, f, b, w, v, hop)
    assert SCHEDULES["interleaved"].timing(work).total_s == pytest.approx(simulated("interleaved", work))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(0, 20), st.floats(0, 0.05))
def test_zero_bubble_is_exact_for_equal_parts(p: int, more: int, hop: float) -> None:
    work = alike(p, p + more, hop=hop)
    assert SCHEDULES["zb-h1"].timing(work).total_s == pytest.approx(simulated("zb-h1", work))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([2, 4, 6, 8]), st.integers(0, 10), st.floats(0.1, 1.0))
def test_dual_pipe_is_what_its_authors_count_or_less(p: int, more: int, w: float) -> None:
    equal = alike(p, 2 * (p + more))
    assert SCHEDULES["dualpipe"].timing(equal).total_s == pytest.approx(simulated("dualpipe", equal))
    uneven = alike(p, 2 * (p + more), 1.0, 2.0 - w, w)
    assert simulated("dualpipe", uneven) <= SCHEDULES["dualpipe"].timing(uneven).total_s + 1e-9


@pytest.mark.parametrize(("p", "m"), [(2, 4), (4, 8), (4, 16), (8, 16), (8, 32)])
def test_hops_of_dual_pipe(p: int, m: int) -> None:
    hop = 1 / 64
    waited = (simulated("dualpipe", alike(p, m, hop=hop)) - simulated("dualpipe", alike(p, m))) / hop
    assert SCHEDULES["dualpipe"].timing(alike(p, m, hop=hop)).hops_s / hop == pytest.approx(waited, abs=1)


@pytest.mark.parametrize(("p", "m", "v"), [(2, 4, 2), (4, 8, 2), (4, 12, 3), (8, 24, 2)])
def test_hops_of_interleaved(p: int, m: int, v: int) -> None:
    work = alike(p, m, v=v, hop=1 / 64)
    assert SCHEDULES["interleaved"].timing(work).total_s == pytest.approx(simulated("interleaved", work))


@settings(max_examples=100, deadline=None)
@given(st.lists(SECONDS, min_size=2, max_size=6), st.integers(1, 20), st.floats(0.5, 3))
def test_uneven_1f1b_is_bounded_from_both_sides(stages: list[float], m: int, ratio: float) -> None:
    f = np.array(stages)
    work = Pass(f, ratio * f, np.zeros(len(f)), m)
    truth = simulated("1f1b", work)
    assert truth <= SCHEDULES["1f1b"].timing(work).total_s + 1e-9
    assert truth >= work.work_s - 1e-9


# ---- closed forms of the papers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "v", "bubble"),
    [("1f1b", 1, 7 * 3.0), ("interleaved", 3, 7.0), ("zb-h1", 1, 7.0), ("dualpipe", 1, 3 * (3 + 2 - 3.0))],
)
def test_bubbles_of_eight_ranks(name: str, v: int, bubble: float) -> None:
    timing = SCHEDULES[name].timing(alike(8, 16, v=v))
    assert timing.bubble_s == pytest.approx(bubble)
    assert timing.work_s == pytest.approx(16 * 3)


def test_bubble_ratio_of_1f1b_is_p_less_1_over_m() -> None:
    timing = SCHEDULES["1f1b"].timing(alike(64, 512))
    assert timing.bubble_s / timing.work_s == pytest.approx(63 / 512)


def test_one_rank_waits_for_nobody() -> None:
    assert all(s.timing(alike(1, 4, hop=1.0)).total_s == pytest.approx(12) for s in SCHEDULES.values())


def test_activations_in_flight() -> None:
    assert SCHEDULES["1f1b"].in_flight(8, 1, 100, 0) == 8
    assert SCHEDULES["1f1b"].in_flight(8, 1, 100, 7) == 1
    assert SCHEDULES["1f1b"].in_flight(8, 1, 3, 0) == 3
    # Korthikanti et al. 2022, section 4.2.3: L s b h (1 + (p - 1) / (p m)) with m virtual stages, of L / p a rank
    assert SCHEDULES["interleaved"].in_flight(8, 3, 100, 0) / 8 == pytest.approx(1 + 7 / (8 * 3))
    assert SCHEDULES["dualpipe"].in_flight(8, 1, 100, 3) == 9


@pytest.mark.parametrize(("name", "pp", "vpp"), [("1f2b", 4, 1), ("1f1b", 4, 2), ("dualpipe", 5, 1)])
def test_impossible_schedules_are_refused(name: str, pp: int, vpp: int) -> None:
    with pytest.raises(InputError, match="schedule"):
        schedule_named(name, pp, vpp)


def test_schedule_by_default() -> None:
    assert schedule_named("", 4, 1).name == "1f1b"
    assert schedule_named("", 4, 2).name == "interleaved"


# ---- orders ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SCHEDULES)), st.sampled_from([2, 4, 6]), st.integers(1, 16), st.integers(1, 3))
def test_orders_run_each_operation_once(name: str, p: int, m: int, v: int) -> None:
    v = v if name == "interleaved" else 1
    turns = orders(name, p, m, v)
    if turns is None:
        assert (name == "interleaved" and m % p) or (name == "dualpipe" and (m % 2 or m < 2 * p))
        return
    ops = [op for row in turns for turn in row for op in turn]
    assert len(ops) == len(set(ops))
    kinds = {kind: sum(op[0] == kind for op in ops) for kind in ("F", "B", "W", "BW")}
    assert kinds["F"] == kinds["B"] + kinds["BW"] == p * v * m
    assert kinds["W"] == kinds["B"]
    slots = play(turns, lambda rank, op: 1.0 + rank / 8, p * v)
    for one, after in itertools.pairwise(slots):
        assert one.rank < after.rank or one.end_s <= after.start_s
