"""The rank cost matrix that is proposed for SGLang."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.experts import read_rank_costs, write_rank_costs
from topoplan.experts.rank_costs import RANK_COSTS_USAGE


@given(ranks=st.integers(1, 8), seed=st.integers(0, 2**32), whole=st.booleans())
def test_round_trip(ranks: int, seed: int, whole: bool) -> None:
    costs = np.random.default_rng(seed).random((ranks, ranks)) * 100
    costs = np.floor(costs) if whole else costs
    np.fill_diagonal(costs, 0)
    assert np.array_equal(read_rank_costs(write_rank_costs(costs)), costs)


def test_text() -> None:
    text = write_rank_costs(np.array([[0, 10], [20.0, 0]]))
    assert json.loads(text) == {"rank_cost_matrix": [[0, 10], [20, 0]]}
    assert b"." not in text
    assert read_rank_costs(b"[[0, 1.5], [2, 0]]").tolist() == [[0, 1.5], [2, 0]]
    assert "experimental" in RANK_COSTS_USAGE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JSON"),
        (b"{}", "needs the key"),
        (b"[]", "shape"),
        (b"3", "shape"),
        (b"[[0, 1]]", "shape"),
        (b"[[0, 1], [0]]", "shape"),
        (b'[["0"]]', "shape"),
        (b"[[true]]", "shape"),
        (b"[[0, NaN], [1, 0]]", "from rank 0 to rank 1 is nan"),
        (b"[[0, 1e999], [1, 0]]", "from rank 0 to rank 1 is inf"),
        (b"[[0, 1], [-1, 0]]", "from rank 1 to rank 0 is -1"),
        (b"[[0, 1], [1, 3]]", "rank 1 to itself"),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rank_costs(data)
