"""The benchmark's judge counts right: against cases small enough to do by hand or by trying everything."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import expert_judge as judge
from tests.benchmarks.expert_cases import LOADS, drifted, load, trace
from tests.benchmarks.expert_headline import headline
from tests.benchmarks.expert_peers import installed
from tests.benchmarks.experts import PAGE, PART
from tests.pages import README, part

TOKENS = np.array([[6.0, 3.0, 2.0, 1.0]])
MAP = np.array([[0, 3, 0, 1, 2, 3]])  # two GPUs of three slots


def test_loads_of_gpus() -> None:
    assert judge.largest(TOKENS, MAP, 2).tolist() == [3 + 3 + 0.5]  # half of 0, all of 3 is split, GPU 0 has 0 twice
    weights = np.array([[2.0, 0.0, 1.0, 1.0, 1.0, 1.0]])
    assert judge.largest(TOKENS, MAP, 2, weights).tolist() == [6.0]
    with pytest.raises(AssertionError, match="no slot"):
        judge.largest(TOKENS, np.array([[0, 1, 2, 0, 1, 2]]), 2)
    assert judge.duplicates(MAP, 2) == 1
    assert judge.duplicates(np.array([[0, 1, 2, 3, 0, 1]]), 2) == 0


def test_the_bound_is_that_of_trying_everything() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        row = rng.lognormal(0, 1, 4)
        best = min(
            max(row / np.bincount(held, minlength=4))
            for held in itertools.combinations_with_replacement(range(4), 7)
            if len(set(held)) == 4
        )
        assert judge.bound(row[None], 7, 2)[0] == pytest.approx(max(best, row.sum() / 2, row.max() / 2))


def test_the_grouped_bound_deals_groups_out() -> None:
    row = np.array([[8.0, 1.0, 1.0, 8.0, 1.0, 1.0, 8.0, 8.0]])  # four groups of two experts
    # (8 1)(1 8) against (1 1)(8 8): 18 on each host, 9 a GPU; the other deals have 25 on one host
    assert judge.grouped_bound(row, 16, 4, 2, 4).tolist() == [9.0]
    assert judge.grouped_bound(row, 8, 4, 1, 4).tolist() == judge.bound(row, 8, 4).tolist()


def test_moves_are_counted_by_gpu() -> None:
    assert judge.moved(MAP, np.array([[3, 0, 0, 2, 1, 3]]), 2) == 0.0
    assert judge.moved(MAP, np.array([[3, 0, 1, 2, 0, 3]]), 2) == pytest.approx(2 / 6)


def test_tokens_ride_where_the_weights_send_them() -> None:
    p2l = np.tile(np.repeat(np.arange(256), 2), (1, 1))  # slots 2e and 2e+1 hold expert e
    ids = np.array([[[0, 255], [255, 128]]])
    source = np.array([0.0, 0.99])
    first = np.tile(np.arange(512) % 2 == 0, (2, 1, 1)).astype(float)
    remote, balance = judge.ride(p2l, ids, source, 4, 2, first)
    assert remote == 0.5  # the first token leaves its host for 255, the second has all at home
    assert balance == pytest.approx(1 / 2)  # four choices: GPUs 0, 2, 3, 3
    near = judge.nearest(np.array([0, 1, 0, 1, 0, 2, 1, 2]), 3, 4, 2)
    assert near[0].tolist() == [1, 1, 0, 0, 0, 1, 0, 1]
    assert near[3].tolist() == [0, 0, 0, 0, 1, 0, 1, 1]


def test_loads_under_the_nearest_copy() -> None:
    # two hosts of two GPUs of one slot: each source takes its own copy, and host 1 has one copy of 0 alone
    p2l = np.array([[0, 1, 0, 2]])
    assert judge.largest_nearest(np.array([[8.0, 1.0, 1.0]]), p2l, 4, 2).tolist() == [4.0]
    p2l = np.array([[0, 0, 0, 1]])  # GPUs 0 and 1 serve themselves, GPU 2 itself and GPU 3
    assert judge.largest_nearest(np.array([[8.0, 1.0]]), p2l, 4, 2).tolist() == [4.0]


def test_loads_and_traces_are_what_they_say() -> None:
    for kind in LOADS:
        tokens = load(kind, 2, 256, 1)
        assert (tokens.sum(1) == 1_000_000).all()
        assert np.array_equal(tokens, load(kind, 2, 256, 1))
        assert not np.array_equal(tokens, load(kind, 2, 256, 2))
    hot = np.sort(load("hot", 1, 256, 1)[0])
    assert hot[-5:].sum() == pytest.approx(400_000, rel=0.01)
    assert np.log(drifted(tokens, 0.2, 1) / tokens).std() == pytest.approx(0.2, rel=0.1)
    ids = trace(1, 200, 1)
    assert all(len(set(token)) == 8 for token in ids[0].tolist())
    assert max(len(set(token)) for token in (ids[0] // 32).tolist()) <= 4


def test_the_readme_sums_up_the_tables() -> None:
    tables = part(PAGE, PART)
    assert "| lognormal |" in tables
    assert part(README, PART) == headline(tables)


@pytest.mark.parametrize("page", [README, PAGE])
def test_pages_say_that_loads_are_synthetic(page: Path) -> None:
    before = page.read_text().split(f"<!-- {PART} -->")[0]
    assert "loads are synthetic" in before.split("\n\n")[-2]


def test_peers_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPOPLAN_EPLB", "/nowhere/eplb.py")
    assert "EPLB" not in installed()
