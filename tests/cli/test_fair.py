"""score --fair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cli.conftest import Result
from topoplan.errors import LimitError

ARGS = ("score", "job.yaml", "--topology", "fabric.yaml", "--observed", "ranks.txt")


@pytest.fixture
def ranked(files: Path) -> Path:
    """ranks.txt: the 32 ranks on alternating leaves."""
    hosts = [f"n{h}" for pair in zip([0, 1, 2, 4], [6, 7, 8, 9], strict=True) for h in pair]
    (files / "ranks.txt").write_text("".join(f"{r} {hosts[r // 4]} {r % 4}\n" for r in range(32)))
    return files


@pytest.mark.usefixtures("ranked")
def test_every_order_is_followed(topoplan: Callable[..., Result]) -> None:
    shown = topoplan(*ARGS, "--fair")
    assert shown.code == 0, shown.err
    assert "links shared fairly" in shown.out
    assert "at once" in shown.out
    data = json.loads(topoplan(*ARGS, "--fair", "-o", "json").out)
    assert list(data) == ["observed", "linear", "strings", "random"]
    for price in data.values():
        fair = price["fair"]
        assert fair["exposed_ms"] == pytest.approx(sum(fair["axes"].values()))
        # what slowest links say is a bound from below; all at once end with the last
        assert fair["exposed_ms"] >= price["ideal_ms"] * (1 - 1e-6)
        assert fair["together_ms"] >= max(fair["axes"].values()) * (1 - 1e-6)
        assert fair["together_ms"] == max(fair["axes_together"].values())
    assert "fair" not in json.loads(topoplan(*ARGS, "-o", "json").out)["observed"]


def _too_many(*_: object) -> NoReturn:
    raise LimitError("too many unlike flows")


@pytest.mark.usefixtures("ranked")
def test_orders_too_irregular_are_named(topoplan: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topoplan.cost.filling._Kinds.ends", _too_many)
    shown = topoplan(*ARGS, "--fair")
    assert shown.code == 0, shown.err
    assert "--fair: not all is known of observed, linear, strings, random" in shown.err
    assert json.loads(topoplan(*ARGS, "--fair", "-o", "json").out)["observed"]["fair"]["together_ms"] is None
