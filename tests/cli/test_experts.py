"""`topoplan experts`: what it prints, writes and refuses. Loads are synthetic and experts independent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMMON = ("-t", "fabric.yaml", "--gpus", "8", "--slots", "40")


@pytest.fixture
def load(files: Path) -> np.ndarray[Any, Any]:
    """Four layers of 32 experts in load.npy, and the same drifted by a fifth in drifted.npy."""
    rng = np.random.default_rng(3)
    load = rng.lognormal(0, 1, (4, 32)) * 1e4
    np.save(files / "load.npy", load)
    np.save(files / "drifted.npy", load * rng.lognormal(0, 0.2, load.shape))
    return load


def plan_of(folder: Path) -> dict[str, Any]:
    """plan.json of a folder."""
    value: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return value


def test_prints_balance_and_gap_and_writes_no_dispatch(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    result = topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert "Balance (mean / largest GPU)" in result.out
    assert "above its lower bound" in result.out
    experts = plan_of(files / "plan")["experts"]
    assert "dispatch" not in experts
    balance = json.loads((files / "plan/experts/outcome.json").read_text())["balance"]
    p2l, on = np.array(experts["physical_to_logical_map"]), np.zeros((4, 8))
    for layer, row in enumerate(p2l):
        copies = np.bincount(row, minlength=32)
        on[layer] = (load[layer, row] / copies[row]).reshape(8, -1).sum(1)
    assert balance["mean"] == pytest.approx((on.mean(1) / on.max(1)).mean())


def test_few_moves_are_counted_and_bounded(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    moves = ("--previous", "plan", "--max-moves", "10%")
    result = topoplan("experts", "drifted.npy", *COMMON, *moves, "--out", "next", "--no-report", "-o", "json")
    assert result.code == 0, result.err
    change = json.loads(result.out)["outcome"]["change"]
    old, new = (
        np.array(plan_of(files / name)["experts"]["physical_to_logical_map"]).reshape(4, 8, 5)
        for name in ("plan", "next")
    )
    moved = sum(len(set(b) - set(a)) for x, y in zip(old, new, strict=True) for a, b in zip(x, y, strict=True))
    assert change["slots"] == moved
    assert 0 < moved <= 16
    assert change["after"] > change["before"]
    assert plan_of(files / "plan")["placement"] == plan_of(files / "next")["placement"]


def test_a_lost_host_is_replaced_and_its_slots_count_as_moved(
    topoplan: Callable[..., Any], load: Any, files: Path
) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    lost = plan_of(files / "plan")["placement"]["host"][0]
    fabric = (files / "fabric.yaml").read_text()
    (files / "fabric.yaml").write_text(fabric.replace('unavailable: "n3"', f'unavailable: "n3,{lost}"'))
    previous = (*COMMON, "--previous", "plan")
    result = topoplan("experts", "load.npy", *previous, "--out", "next", "--no-report", "-o", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["outcome"]["change"]["slots"] >= 4 * 20  # half of the slots of each layer
    assert lost not in plan_of(files / "next")["placement"]["host"]
    refused = topoplan("experts", "load.npy", *previous, "--max-moves", "79", "--out", "never")
    assert refused.code == 3
    assert "80 slots have to move" in refused.err
    assert not (files / "never").exists()
    few = topoplan("experts", "drifted.npy", *previous, "--max-moves", "84", "-o", "json")
    assert few.code == 0, few.err
    assert json.loads(few.out)["outcome"]["change"]["slots"] <= 84


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--max-moves", "5"), 2, "--previous"),
        (("--previous", "plan", "--max-moves", "few"), 2, "percentage"),
        (("--previous", "plan", "--max-moves", "-1"), 2, "percentage"),
        (("--previous", "nowhere"), 2, "nowhere"),
        (("--model", "deepseek-v3"), 2, "256 experts"),
        (("--model", "deepsek-v3"), 2, "deepseek-v3"),
    ],
)
def test_bad_options_are_refused(
    topoplan: Callable[..., Any], load: Any, options: tuple[str, ...], code: int, words: str
) -> None:
    assert topoplan("experts", "load.npy", *COMMON, "--out", "plan", "--no-report").code == 0
    result = topoplan("experts", "load.npy", *COMMON, *options, "--out", "never")
    assert result.code == code
    assert words in result.err
    assert not Path("never").exists()


def test_rules_are_judged_side_by_side(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.array([[rng.choice(32, 4, replace=False, p=row / row.sum()) for _ in range(300)] for row in load])
    np.savez(files / "trace.npz", expert_ids=ids.astype(np.int16), source=rng.random(300))
    np.save(files / "counts.npy", np.array([np.bincount(x.ravel(), minlength=32) for x in ids], float))
    command = ("experts", "counts.npy", *COMMON, "--source-slots", "--groups", "8", "--routes", "trace.npz")
    result = topoplan(*command, "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert "one copy a source" in result.out
    assert "noise hides more" in result.out
    judged = json.loads((files / "plan/experts/outcome.json").read_text())["judgement"]
    assert judged["source"] == "trace"
    by_rule = {engine["rule"]: engine for engine in judged["engines"]}
    assert set(by_rule) == {"even", "nearest", "slot"}
    # hosts of the plan that a token visits: all copies of a group are on one, so every rule visits the same
    assert by_rule["even"]["remote_hosts"] == pytest.approx(by_rule["nearest"]["remote_hosts"])
    assert by_rule["even"]["shown"] < judged["noise_floor"]
    slots = np.array(plan_of(files / "plan")["experts"]["dispatch_slot"])
    assert slots.shape == (8, 4, 32)


def test_slots_are_swept_and_one_number_recommended(topoplan: Callable[..., Any], files: Path) -> None:
    np.save(files / "big.npy", np.random.default_rng(0).lognormal(0, 1, (2, 128)) * 1e4)
    big = ("experts", "big.npy", "-t", "fabric.yaml", "--gpus", "16", "--slots", "144", "--sweep-slots")
    result = topoplan(*big, "-o", "json")
    assert result.code == 0, result.err
    sweep = json.loads(result.out)["outcome"]["sweep"]
    rows = sweep["rows"]
    assert [row["per_gpu"] for row in rows] == list(range(8, 17))
    assert rows[1]["gain"] > 0
    # an expert of Qwen3-235B: 3 x 4096 x 1536 weights in BF16, 94 layers
    assert rows[1]["bytes"] - rows[0]["bytes"] == 94 * 2 * 3 * 4096 * 1536
    worth = {row["per_gpu"]: row["worth"] for row in rows}
    assert worth[sweep["recommended"]] == max(worth.values()) == 1
    assert "Recommended: " in topoplan(*big).out


def test_copies_are_kept_on_different_hosts_and_leaves(topoplan: Callable[..., Any], load: Any, files: Path) -> None:
    command = ("experts", "load.npy", "-t", "fabric.yaml", "--gpus", "8", "--slots", "72")
    result = topoplan(*command, "--replicas-across", "host", "2", "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert "losing any one loses no expert" in result.out
    assert "costs 0.0" in result.out
    result = topoplan(*command, "--replicas-across", "leaf", "2", "--out", "leaves", "--no-report")
    assert result.code == 0, result.err
    leaf = {name: int(name[1:]) > 5 for name in plan_of(files / "leaves")["placement"]["host"]}
    assert sorted(leaf.values()) == [False, True]
    for options, words in (
        (("--replicas-across", "host", "3"), "need 3 hosts; the experts' GPUs are on 2"),
        (("--replicas-across", "leaf", "3"), "3 leaves"),
        (("--replicas-across", "host", "2", "--slots", "60"), "need 64 slots; there are 60"),
        (("--replicas-across", "host", "2", "--groups", "2"), "--groups keeps all copies"),
    ):
        refused = topoplan(*command, *options, "--out", "never")
        assert refused.code == 3
        assert words in refused.err
    assert not (files / "never").exists()


def test_a_history_is_forecast_and_the_method_reported(topoplan: Callable[..., Any], files: Path) -> None:
    rng = np.random.default_rng(0)
    walk = np.exp(np.cumsum(rng.normal(0, 0.4, (8, 4, 32)), 0) + rng.normal(0, 1, (4, 32))) * 1e4
    np.save(files / "history.npy", walk)
    result = topoplan("experts", "history.npy", *COMMON, "-o", "json")
    assert result.code == 0, result.err
    forecast = json.loads(result.out)["outcome"]["forecast"]
    assert forecast["method"].startswith("ewma")  # of a walk, the last steps tell most
    assert forecast["scores"][forecast["method"]] == max(forecast["scores"].values())
    assert "foretells" in topoplan("experts", "history.npy", *COMMON, "--forecast", "mean").out
    assert topoplan("experts", "history.npy", *COMMON, "--forecast", "luck").code == 2


def test_moves_come_in_chunks_and_stop_where_they_do_not_pay(topoplan: Callable[..., Any], files: Path) -> None:
    rng = np.random.default_rng(0)
    big = rng.lognormal(0, 1, (3, 128)) * 1e4
    np.save(files / "big.npy", big)
    np.save(files / "next.npy", big * rng.lognormal(0, 0.3, big.shape))
    common = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "144", "--no-report")
    assert topoplan("experts", "big.npy", *common, "--out", "plan").code == 0
    move = ("experts", "next.npy", *common, "--previous", "plan", "-o", "json")
    result = topoplan(*move, "--chunk", "200 MB", "--out", "next")
    assert result.code == 0, result.err
    change = json.loads(result.out)["outcome"]["change"]
    size = 2 * 3 * 4096 * 1536
    assert all(max(c["most_sent"], c["most_received"]) <= 200e6 for c in change["chunks"])
    assert sum(c["moves"] for c in change["chunks"]) == change["slots"] == change["bytes"] / size
    listed = json.loads((files / "next/experts/moves.json").read_text())
    assert sum(len(chunk["moves"]) for chunk in listed) == change["slots"]
    short = json.loads(topoplan(*move, "--horizon", "1 ms").out)["outcome"]["change"]
    assert (short["slots"], sorted(short["left"])) == (0, [0, 1, 2])
    assert short["after"] == short["before"]
    refused = topoplan(*move, "--chunk", "10 MB")
    assert refused.code == 3
    assert topoplan(*move, "--chunk", "1000").code == 2


@pytest.fixture
def trace(files: Path) -> None:
    """trace.npz of tokens that choose 4 of 32 experts, most of them in two groups of four, and counts.npy of it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (2, 1, 32)) + rng.gumbel(size=(2, 2000, 32))
    group = rng.random((2, 2000, 4)).argsort(2)[:, :, :2]
    ids = np.empty((2, 2000, 4), np.int16)
    for layer in range(2):
        for token in range(2000):
            mine = np.concatenate([np.arange(8) + 8 * g for g in group[layer, token]])
            ids[layer, token] = mine[np.argsort(-logits[layer, token, mine])[:4]]
    np.savez(files / "trace.npz", expert_ids=ids, source=rng.random(2000))
    np.save(files / "counts.npy", np.array([np.bincount(x.ravel(), minlength=32) for x in ids], float))


def test_routes_give_dispatch_weights_and_fewer_remote_hosts(
    topoplan: Callable[..., Any], trace: None, files: Path
) -> None:
    common = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "48", "--no-report")
    assert topoplan("experts", "counts.npy", *common, "--out", "plain").code == 0
    result = topoplan("experts", "counts.npy", *common, "--routes", "trace.npz", "--out", "soft", "-o", "json")
    assert result.code == 0, result.err
    experts = plan_of(files / "soft")["experts"]
    assert np.array(experts["dispatch"]).shape == (4, 2, 48)
    assert np.array(experts["dispatch_slot"]).shape == (16, 2, 32)
    assert plan_of(files / "soft")["inputs"]["routes"]["name"] == "trace.npz"
    by_rule = {e["rule"]: e for e in json.loads(result.out)["outcome"]["judgement"]["engines"]}
    plain = json.loads((files / "plain/experts/outcome.json").read_text())
    assert "judgement" not in plain  # neither a trace nor a model with 32 experts says what tokens choose together
    assert by_rule["weights"]["remote_hosts"] < 0.95 * by_rule["even"]["remote_hosts"]
    assert by_rule["weights"]["balance"] > 0.95
    loose = topoplan("experts", "counts.npy", *common, "--routes", "trace.npz", "--min-balance", "0.8", "-o", "json")
    fewer = {e["rule"]: e for e in json.loads(loose.out)["outcome"]["judgement"]["engines"]}
    assert fewer["weights"]["remote_hosts"] < by_rule["weights"]["remote_hosts"]


def test_predicted_time_chooses_the_kind_of_placement(topoplan: Callable[..., Any], files: Path) -> None:
    np.save(files / "big.npy", np.random.default_rng(0).lognormal(0, 1, (2, 256)) * 1e4)
    common = ("experts", "big.npy", "-t", "fabric.yaml", "--gpus", "16", "--slots", "288", "--model", "deepseek-v3")
    result = topoplan(*common, "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert "for the least predicted time of a layer over 2 of 2 layers" in result.out
    choice = json.loads((files / "plan/experts/outcome.json").read_text())["choice"]
    times = [way["layer_ms"] for way in choice["candidates"]]
    assert len(times) > 1
    assert times[choice["chosen"]] <= min(times) * 1.001
    assert "Kinds of placement" in topoplan("show", "plan").out
    assert "Kinds of placement" not in topoplan(*common, "--objective", "balance").out
    assert topoplan(*common, "--objective", "time", "--groups", "8").code == 2


def test_an_interrupted_curve_keeps_the_plan(
    topoplan: Callable[..., Any], trace: None, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    common = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "48", "--routes", "trace.npz")
    whole = topoplan("experts", "counts.npy", *common, "--out", "plan")
    assert "Balance against remote hosts" in whole.out
    assert "Balance against remote hosts a token" in (files / "plan/report.html").read_text()
    monkeypatch.setattr("topoplan.planning.expert_curve.draw_curve", stopped)
    result = topoplan("experts", "counts.npy", *common, "--out", "short", "--no-report")
    assert result.code == 0, result.err
    assert "the plan is kept" in result.err
    assert "Balance against remote hosts" not in result.out
    assert plan_of(files / "short")["experts"] == plan_of(files / "plan")["experts"]
    monkeypatch.setattr("topoplan.planning.experts.plan_experts", stopped)
    assert topoplan("experts", "counts.npy", *common, "--out", "never").code == 130
    assert not (files / "never").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--min-balance", "0.9"), "--min-balance needs --routes"),
        (("--routes", "fabric.yaml"), "fabric.yaml"),
    ],
)
def test_options_that_clash_with_routes(
    topoplan: Callable[..., Any], trace: None, options: tuple[str, ...], words: str
) -> None:
    common = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "48", "--no-report")
    assert topoplan("experts", "counts.npy", *common, "--out", "plain").code == 0
    result = topoplan("experts", "counts.npy", *common, *options, "--out", "never")
    assert result.code == 2
    assert words in result.err
    assert not Path("never").exists()


def test_routes_with_a_plan_in_force_and_copies_apart(topoplan: Callable[..., Any], trace: None, files: Path) -> None:
    common = ("-t", "fabric.yaml", "--gpus", "16", "--routes", "trace.npz", "--no-report")
    apart = ("--slots", "80", "--replicas-across", "host", "2")
    assert topoplan("experts", "counts.npy", *common, *apart, "--out", "soft").code == 0
    old = np.array(plan_of(files / "soft")["experts"]["physical_to_logical_map"])
    host = np.repeat(np.arange(4), 20)
    np.save(files / "later.npy", np.load(files / "counts.npy") * np.random.default_rng(1).lognormal(0, 0.3, (2, 32)))
    moves = ("--previous", "soft", "--max-moves", "10%")
    result = topoplan("experts", "later.npy", *common, *apart, *moves, "--out", "next")
    assert result.code == 0, result.err
    new = np.array(plan_of(files / "next")["experts"]["physical_to_logical_map"])
    assert 0 < (new != old).sum() <= 16
    for p2l in (old, new):
        assert min(len(set(host[row == e])) for row in p2l for e in range(32)) >= 2


def test_a_trace_of_another_model_is_refused(topoplan: Callable[..., Any], trace: None, files: Path) -> None:
    np.save(files / "small.npy", np.ones((2, 16)))
    np.save(files / "deep.npy", np.ones((3, 32)))
    common = ("-t", "fabric.yaml", "--gpus", "8", "--slots", "40", "--routes", "trace.npz")
    for load, words in (("small.npy", "layer 0: the trace names expert 31"), ("deep.npy", "2 layers, the load 3")):
        result = topoplan("experts", load, *common)
        assert result.code == 2
        assert words in result.err


def test_plans_of_ranks_and_of_experts_alone_do_not_replace_each_other(
    topoplan: Callable[..., Any], load: Any, files: Path
) -> None:
    ranks = ("solve", "job.yaml", "-t", "fabric.yaml", "--no-report", "--out")
    experts = ("experts", "load.npy", *COMMON, "--no-report", "--out")
    (files / "mine").mkdir()
    (files / "mine" / "notes").write_text("")
    for first, second, held in ((ranks, experts, "ranks"), (experts, ranks, "experts alone")):
        assert topoplan(*first, held).code == 0
        kept = (files / held / "plan.json").read_bytes()
        refused = topoplan(*second, held)
        assert (refused.code, refused.out) == (2, "")
        assert f"{held}: holds a plan of {held}, which this one would remove" in refused.err
        assert (files / held / "plan.json").read_bytes() == kept
        assert topoplan(*first, held).code == 0
        assert "holds no plan.json" in topoplan(*second, "mine").err
