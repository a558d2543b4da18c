"""Fronts hold what no other beats; the knee is where more buys least."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.studies.fronts import knee, pareto

POINTS = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), max_size=12)


@given(POINTS)
def test_front_against_its_definition(points: list[tuple[float, float]]) -> None:
    found = pareto(points)
    beaten = {
        i for i, (x, y) in enumerate(points) if any(u <= x and v <= y and (u < x or v < y) for u, v in points)
    }  # fmt: skip
    assert {points[i] for i in found} == {p for i, p in enumerate(points) if i not in beaten}
    assert len({points[i] for i in found}) == len(found)
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_knee_of_a_bent_curve() -> None:
    assert knee([(1, 100), (2, 20), (3, 15), (10, 10)]) == 1
    assert knee([(1, 100), (2, 80), (3, 30), (10, 10)]) == 2
    assert knee([(1, 3), (2, 2), (3, 1)]) is None  # straight
    assert knee([(1, 3), (2, 2.9), (3, 1)]) is None  # bent the other way
    assert knee([(1, 3), (2, 1)]) is None


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(-5, 5))
def test_knee_does_not_depend_on_units(scale: float, other: float, shift: float) -> None:
    points = [(1.0, 100.0), (2.0, 20.0), (3.0, 15.0), (10.0, 10.0)]
    assert knee([(scale * x + shift, other * y) for x, y in points]) == pytest.approx(1)
