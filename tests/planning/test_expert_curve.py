"""The curve of balance against remote hosts, on the GPUs and loads of a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fabrics import two_leaves
from topoplan.errors import InputError
from topoplan.files.arrays import Routes
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.planning.expert_curve import CURVE_LAYERS, draw_curve
from topoplan.planning.experts import ExpertRequest, plan_experts


def request(layers: int) -> ExpertRequest:
    """16 experts in two halves that fire together, on 8 GPUs; 400 tokens choose 3 of one half."""
    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, (layers, 400, 1))
    ids = (half * 8 + rng.random((layers, 400, 8)).argsort(2)[:, :, :3]).astype(np.int16)
    load = np.array([np.bincount(layer.ravel(), minlength=16) for layer in ids], float)
    return ExpertRequest(load, 8, 24, routes=Routes(ids, rng.random(400)))


@pytest.mark.parametrize("layers", [1, 9])
def test_no_way_is_worse_in_both(layers: int) -> None:
    asked = request(layers)
    fabric = parse_fabric(two_leaves(2, ""))
    curve = draw_curve(asked, plan_experts(asked, fabric).plan)
    assert (curve.layers, curve.of) == (min(layers, CURVE_LAYERS), layers)
    balances, remote = [p.balance for p in curve.points], [p.remote_hosts for p in curve.points]
    assert balances == sorted(balances, reverse=True)
    assert remote == sorted(remote, reverse=True)
    assert curve.chosen.remote_hosts < curve.plain.remote_hosts
    assert all(
        0 <= p.remote_hosts <= 1 and 0 < p.balance <= 1 + 1e-9 for p in (*curve.points, curve.chosen, curve.plain)
    )


def test_without_a_trace_there_is_no_curve() -> None:
    asked = request(1)
    plan = plan_experts(asked, parse_fabric(two_leaves(2, ""))).plan
    with pytest.raises(InputError, match="needs a routing trace"):
        draw_curve(replace(asked, routes=None), plan)
