"""The small language of the catalogue."""

from __future__ import annotations

import pytest

from topoplan.topologies.catalog.templates import evaluate, expand


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 * n + 1", 7), ("n // 2", 1), ("6 / n", 2), ("7 / 2", 3.5), ("-n", -3), ("1 if n > 2 else 0", 1),
     ("min(n, 2)", 2), ("max(n, 9)", 9), ("n == 3", 1), ("n <= 2", 0)],
)  # fmt: skip
def test_expressions(text: str, value: float) -> None:
    assert evaluate(text, {"n": 3}) == value


@pytest.mark.parametrize("text", ["unknown", "n ** 9", "__import__('os')", "n.real", "'a'", "min", "[n]"])
def test_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="is not an expression"):
        evaluate(text, {"n": 3})


def test_expansion() -> None:
    item = {"for": {"a": 2, "b": "0..1"}, "name": "x{a}-{b:02d}", "value": "{a * 10 + b}", "inner": [{"when": "b > 0"}]}
    assert expand([item, {"when": "0 > 1", "name": "no"}, "plain"], {}) == [
        {"name": "x1-00", "value": 10, "inner": []},
        {"name": "x1-01", "value": 11, "inner": [{}]},
        {"name": "x2-00", "value": 20, "inner": []},
        {"name": "x2-01", "value": 21, "inner": [{}]},
        "plain",
    ]
