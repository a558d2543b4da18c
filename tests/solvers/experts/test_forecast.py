"""Forecasts of loads and the choice among them. Histories are synthetic."""

from __future__ import annotations

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray
from topoplan.solvers.experts.forecast import METHODS, choose, foretell


def history(*rows: list[float]) -> FloatArray:
    """[steps, 1, experts] of rows."""
    return np.array(rows, np.float64)[:, None]


def test_mean_ewma_and_sigma_are_what_their_names_say() -> None:
    steps = history([40, 60], [60, 40], [80, 20])
    assert foretell(steps, "mean")[0] == pytest.approx([60, 40])
    # weights 1/4, 1/2 and 1 of the newest
    assert foretell(steps, "ewma 0.5")[0] == pytest.approx(
        [(40 / 4 + 60 / 2 + 80) / 1.75, (60 / 4 + 40 / 2 + 20) / 1.75]
    )
    sigma = np.std([40, 60, 80])
    assert foretell(steps, "mean + 2 sigma")[0] == pytest.approx([60 + 2 * sigma, 40 + 2 * sigma])


def test_steps_count_alike_and_silent_ones_not_at_all() -> None:
    steps = history([10, 30], [3000, 1000], [0, 0])
    assert foretell(steps, "mean")[0] == pytest.approx([0.5 * 2020, 0.5 * 2020])
    # the silent step does not age the others either
    assert foretell(steps, "ewma 0.5")[0] == pytest.approx(foretell(steps[:2], "ewma 0.5")[0])


def closeness(expected: FloatArray, actual: FloatArray) -> float:
    """1 for a perfect forecast."""
    return 1 - float(np.abs(expected / expected.sum() - actual / actual.sum()).sum())


def test_drifting_loads_call_for_recent_steps_and_noise_for_many() -> None:
    rng = np.random.default_rng(0)
    walk = np.exp(np.cumsum(rng.normal(0, 0.3, (12, 2, 32)), 0)) * 1000
    noise = np.exp(rng.normal(0, 1, (2, 32)) + rng.normal(0, 0.3, (12, 2, 32))) * 1000
    assert choose(walk, closeness).method == "ewma 0.8"
    scores = choose(noise, closeness).scores
    assert scores["mean"] > scores["ewma 0.5"] > scores["ewma 0.8"]
    assert choose(noise, closeness).method.startswith("mean")
    assert choose(noise, closeness).tests == 4
    assert set(choose(noise, closeness).scores) == set(METHODS)


def test_a_back_test_never_sees_the_step_it_foretells() -> None:
    steps = np.arange(1, 7, dtype=float)[:, None, None] * np.ones((6, 1, 4))
    steps[:, 0, 0] = np.arange(6) ** 2 + 1
    seen = []

    def record(expected: FloatArray, actual: FloatArray) -> float:
        seen.append((round(float(expected.sum()), 6), float(actual.sum())))
        return 0.0

    choose(steps, record)
    sums = steps.sum((1, 2))
    assert {actual for _, actual in seen} == set(sums[-3:])
    assert (round(float(foretell(steps[:3], "mean").sum()), 6), float(sums[3])) in seen


def test_equal_methods_leave_the_plainest_and_short_histories_are_not_tested() -> None:
    rng = np.random.default_rng(1)
    assert choose(rng.random((8, 1, 4)) + 1, lambda a, b: 0.5).method == "mean"
    short = choose(rng.random((3, 1, 4)) + 1, closeness)
    assert (short.method, short.tests, short.scores) == ("mean", 0, {})


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="no forecast 'crystal ball'"):
        foretell(history([1, 2]), "crystal ball")
