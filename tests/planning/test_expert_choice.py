"""Predicted time chooses the kind of placement. Loads are synthetic and experts independent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.fabrics import two_leaves
from topoplan.errors import InputError
from topoplan.files.arrays import Routes
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric
from topoplan.planning.expert_choice import by_time
from topoplan.planning.expert_model import model_of
from topoplan.planning.experts import ExpertRequest, plan_experts

MODEL = model_of("deepseek-v3", 256)[0]


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return parse_fabric(two_leaves(2, ""))


def load(layers: int = 1, sigma: float = 1.0) -> Any:
    return np.random.default_rng(4).lognormal(0, sigma, (layers, 256)) * 1000


def routes(tokens: int = 1200, seed: int = 0) -> Routes:
    """Tokens that choose 8 of the 256 experts out of 4 of 8 groups, as DeepSeek-V3 does."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1, 256) + rng.gumbel(size=(tokens, 256))
    best = np.sort(score.reshape(tokens, 8, -1), -1)[..., -2:].sum(-1)
    rank = np.argsort(np.argsort(-best, -1), -1)
    score[np.repeat(rank, 32, -1) >= 4] = -np.inf
    return Routes(np.argsort(-score, -1)[None, :, :8].astype(np.int16), rng.random(tokens))


def test_the_quickest_is_planned_though_another_is_more_even(fabric: Fabric) -> None:
    trace = routes()
    tokens = np.bincount(trace.expert_ids.ravel(), minlength=256)[None].astype(float)
    request = ExpertRequest(tokens, 16, 288, routes=trace, objective="time")
    outcome = plan_experts(request, fabric)
    assert outcome.choice is not None
    kinds, chosen = outcome.choice.candidates, outcome.choice.candidates[outcome.choice.chosen]
    assert {"traffic of whole groups", "any host", "groups whole"} <= {c.name for c in kinds}
    most_even = max(kinds, key=lambda c: c.balance)
    assert chosen.layer_ms < most_even.layer_ms
    assert chosen.balance < most_even.balance
    assert chosen.layer_ms <= min(c.layer_ms for c in kinds) * 1.001
    assert outcome.judgement is not None
    weights = next(e for e in outcome.judgement.engines if e.rule == "weights")
    assert weights.layer_ms == pytest.approx(chosen.layer_ms)
    assert outcome.balance.mean == pytest.approx(chosen.balance)
    again = plan_experts(request, fabric)
    assert again.record() == outcome.record()
    assert outcome.plan.experts is not None
    assert again.plan.experts is not None
    assert np.array_equal(again.plan.experts.physical_to_logical_map, outcome.plan.experts.physical_to_logical_map)


def test_prefill_and_decode_are_planned_apart(fabric: Fabric) -> None:
    names = []
    for phase in ("prefill", "decode"):
        outcome = plan_experts(ExpertRequest(load(6), 16, 288, phase=phase, model="deepseek-v3"), fabric)
        assert outcome.choice is not None
        assert (outcome.choice.layers, outcome.choice.of) == (4, 6)
        names.append(outcome.choice.candidates[outcome.choice.chosen].name)
        assert outcome.plan.experts is not None
        group = outcome.plan.experts.physical_to_logical_map // 32
        hosts = [{(int(g), slot // 72) for slot, g in enumerate(row)} for row in group]
        assert all(len(row) == 8 for row in hosts) is (names[-1] == "groups whole")
    # normal kernels send a token once to a host; low-latency ones send every copy, whichever hosts it meets
    assert names == ["groups whole", "any host"]


def test_time_chooses_where_sizes_are_known_and_nothing_else_is_said() -> None:
    plain = ExpertRequest(load(), 16, 288)
    assert not by_time(plain, MODEL)
    assert by_time(replace(plain, model="deepseek-v3"), MODEL)
    assert by_time(replace(plain, objective="time"), MODEL)
    assert not by_time(replace(plain, objective="time"), None)
    for said in ({"groups": 8}, {"min_balance": 0.9}, {"objective": "balance"}):
        assert not by_time(replace(plain, model="deepseek-v3", **said), MODEL)


def test_objectives_that_contradict_options_are_refused(fabric: Fabric) -> None:
    for said, words in (
        ({"objective": "speed"}, "no objective 'speed'"),
        ({"objective": "time", "groups": 8}, "chooses what --groups says"),
        ({"objective": "time", "min_balance": 0.9, "routes": routes()}, "chooses what --min-balance says"),
        ({"objective": "time", "load": load()[:, :250]}, "needs the model's sizes"),
    ):
        asked: dict[str, Any] = {"load": load(), "gpus": 16, "slots": 288, **said}
        with pytest.raises(InputError, match=words):
            plan_experts(ExpertRequest(**asked), fabric)
