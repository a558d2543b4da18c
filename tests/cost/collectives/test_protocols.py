"""Machines without NVLink: where NCCL changes its protocol, and a line on each side."""

from __future__ import annotations

import numpy as np
import pytest

from topoplan.cost.collectives.protocols import TwoProtocols, fit_two, switch_bytes
from topoplan.errors import InputError

SIZES = np.array([2.0**k for k in range(9, 30)])


def test_sizes_at_which_eight_ranks_change_by_hand() -> None:
    # LL starts 1.8 us sooner and saves 4.7 us a step, and takes 1 / 22 GB/s longer for each byte of a ring
    assert switch_bytes("all_gather", 8) == pytest.approx((1.8e-6 + 7 * 4.7e-6) * 22e9 * 8 / 7)
    assert switch_bytes("all_reduce", 8) == pytest.approx((1.8e-6 + 14 * 4.7e-6) * 22e9 * 8 / 14)
    assert switch_bytes("reduce_scatter", 8) == switch_bytes("all_gather", 8)
    assert switch_bytes("all_to_all", 8) == 8 * 16384


@pytest.mark.parametrize(("op", "ranks"), [("p2p", 8), ("all_reduce", 1)])
def test_what_has_no_such_size_is_refused(op: str, ranks: int) -> None:
    with pytest.raises(InputError, match="changes its protocol"):
        switch_bytes(op, ranks)


def test_a_fit_finds_the_lines_that_made_its_points() -> None:
    truth = TwoProtocols((12e-6, 1 / 6e9), (30e-6, 1 / 26e9), 1e6)
    seconds = truth.seconds(SIZES)
    found = fit_two(SIZES, seconds, 1e6)
    assert found.seconds(SIZES) == pytest.approx(seconds, rel=1e-9)
    assert found.small == pytest.approx(truth.small)
    assert found.large == pytest.approx(truth.large)
    # NCCL changes over later than it should: the first call by Simple is quicker than the last by LL
    assert seconds[SIZES > 1e6][0] < seconds[SIZES <= 1e6][-1]


@pytest.mark.parametrize("switch", [512.0, 1.0, 1e12])
def test_too_few_points_on_a_side_are_refused(switch: float) -> None:
    with pytest.raises(InputError, match="on each side"):
        fit_two(SIZES, SIZES, switch)


def test_points_that_are_not_positive_are_refused() -> None:
    with pytest.raises(InputError, match="positive"):
        fit_two(SIZES, 0 * SIZES, 1e6)
