"""What `topoplan experts` writes for engines and reads back from them, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from topoplan.experts import get_format, read_rank_costs

SIZE = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "144")
DEEP = ("deep.npy", "-t", "fabric.yaml", "--gpus", "16", "--slots", "288", "--no-report")


@pytest.fixture
def load(files: Path) -> Path:
    """load.npy of 6 layers with the 128 experts of Qwen3-235B, drifted.npy, and deep.npy as DeepSeek-V3 has them."""
    rng = np.random.default_rng(3)
    tokens = rng.lognormal(0, 1, (6, 128)) * 1e4
    np.save(files / "load.npy", tokens)
    np.save(files / "drifted.npy", tokens * rng.lognormal(0, 0.2, tokens.shape))
    np.save(files / "deep.npy", rng.lognormal(0, 1, (58, 256)) * 1e4)
    return files


def p2l(folder: Path) -> Any:
    return np.array(json.loads((folder / "plan.json").read_text())["experts"]["physical_to_logical_map"])


def test_maps_number_layers_as_the_model_does(topoplan: Callable[..., Any], load: Path) -> None:
    several = ("--engine", "sglang", "--engine", "trtllm", "--expert-format", "eplb")
    result = topoplan("experts", *DEEP, *several, "--out", "plan")
    assert result.code == 0, result.err
    assert "--init-expert-location sglang.json --ep-num-redundant-experts 32" in result.err
    assert "say which layers are MoE layers" not in result.err
    for name, file in (("sglang", "sglang.json"), ("trtllm", "trtllm.yaml"), ("eplb", "eplb.npz")):
        rows = get_format(name).read((load / "plan/experts" / file).read_bytes(), tuple(range(3, 61)))
        assert np.array_equal(rows, p2l(load / "plan"))
    assumed = json.loads((load / "plan/plan.json").read_text())["assumed"]
    assert any("layers 3 to 60 of deepseek-v3" in line for line in assumed)
    made = (load / "plan/experts/trtllm.yaml").read_bytes()
    assert topoplan("export", "plan", "--launcher", "trtllm", "--out", "again").code == 0
    assert (load / "again/trtllm.yaml").read_bytes() == made


def test_layers_that_are_not_known_are_said(topoplan: Callable[..., Any], load: Path) -> None:
    result = topoplan("experts", "load.npy", *SIZE, "--out", "plan", "--no-report")
    assert "the rows were taken as layers 0 to 5" in result.err
    said = topoplan("experts", "load.npy", *SIZE, "--moe-layers", "10-15", "--engine", "trtllm", "--out", "plan")
    assert said.code == 0, said.err
    assert "taken as layers" not in said.err
    assert get_format("trtllm").read((load / "plan/experts/trtllm.yaml").read_bytes(), (10, 13)).shape == (2, 144)
    assert ">13<" in (load / "plan/report.html").read_text()


def test_an_engines_map_may_be_what_is_in_force(topoplan: Callable[..., Any], load: Path) -> None:
    assert topoplan("experts", "load.npy", *SIZE, "--out", "plan", "--no-report").code == 0
    few = ("--max-moves", "3%", "--no-report", "-o", "json")
    changes = []
    for previous in ("plan", "plan/plan.json", "plan/experts/sglang.json"):
        result = topoplan("experts", "drifted.npy", *SIZE, "--previous", previous, *few, "--out", "next")
        assert result.code == 0, result.err
        assert set(json.loads(result.out)["inputs"]) == {"fabric", "load", "previous"}
        changes.append(json.loads(result.out)["outcome"]["change"])
        gone = p2l(load / "next").reshape(6, 16, 9) != p2l(load / "plan").reshape(6, 16, 9)
        assert 0 < gone.sum() <= changes[-1]["slots"] <= 0.03 * 6 * 144
        said = any("map in force says nothing of hosts" in line for line in json.loads(result.out)["assumed"])
        assert said == previous.endswith("sglang.json")
    assert changes[0] == changes[1]
    assert changes[0]["slots"] == changes[2]["slots"]


def test_a_recording_is_planned_from(topoplan: Callable[..., Any], load: Path) -> None:
    steps = np.zeros((2, 9, 128), np.int64)
    steps[:, 3:] = np.load(load / "load.npy")
    (load / "recorder.json").write_text(json.dumps({"logical_count": steps.tolist()}))
    result = topoplan("experts", "recorder.json", *SIZE, "--forecast", "mean", "--out", "plan", "--no-report")
    assert result.code == 0, result.err
    assert p2l(load / "plan").shape == (6, 144)
    rows = json.loads((load / "plan/experts/sglang.json").read_text())["physical_to_logical_map"]
    assert rows[0] == [slot % 128 for slot in range(144)]  # a dense layer, which has no tokens
    assert np.array_equal(rows[3:], p2l(load / "plan"))


def test_rank_costs(topoplan: Callable[..., Any], load: Path) -> None:
    costs = ("--expert-format", "sglang-rank-costs")
    assert topoplan("experts", "load.npy", *SIZE, "--out", "plan", "--no-report").code == 0
    result = topoplan("experts", "load.npy", *SIZE, *costs, "--out", "other", "--no-report")
    assert result.code == 0, result.err
    assert "experimental" in result.err
    assert "refuses redundant experts" in result.err
    matrix = read_rank_costs((load / "other/experts/rank-costs.json").read_bytes())
    assert matrix.shape == (16, 16)
    assert (matrix[0, 1], matrix[0, 15]) == (1, 10)  # an NVLink domain, hosts of one leaf
    assert topoplan("export", "plan", "--launcher", "sglang-rank-costs", "--out", "again").code == 0
    assert np.array_equal(read_rank_costs((load / "again/rank-costs.json").read_bytes()), matrix)


def test_the_report_is_made_again_from_the_folder(topoplan: Callable[..., Any], load: Path) -> None:
    """Every part at once: sweep, source slots, moves; then the same page from the folder's own files."""
    assert topoplan("experts", "load.npy", *SIZE, "--sweep-slots", "--source-slots", "--out", "plan").code == 0
    previous = ("--previous", "plan", "--max-moves", "5%", "--out", "next")
    assert topoplan("experts", "drifted.npy", *SIZE, *previous).code == 0
    for folder, words in (
        ("plan", ("Slots of a GPU", "What each added slot gains", "one copy a source", "without a plan")),
        ("next", ("Moves from the previous plan", "previous plan: ", "slots moved")),
    ):
        page = (load / folder / "report.html").read_text()
        for word in (*words, "Under each engine", "Failures", "Balancedness of each layer", "Load of each GPU"):
            assert word in page
        shown = topoplan("show", folder).out
        for word in ("Under each engine's rule", "losing any one loses", "128 experts of 6 layers in 144 slots"):
            assert word in shown
        assert "losing any one loses" in topoplan("explain", folder).out
        assert "outcome" in json.loads(topoplan("show", folder, "-o", "json").out)
        assert topoplan("report", folder, "--out", "again.html").code == 0
        assert (load / "again.html").read_text() == page


def test_an_outcome_that_is_not_ours(topoplan: Callable[..., Any], load: Path) -> None:
    assert topoplan("experts", "load.npy", *SIZE, "--out", "plan", "--no-report").code == 0
    file = load / "plan/experts/outcome.json"
    odd = json.dumps(json.loads(file.read_text()) | {"change": {"slots": "many"}})
    for text in ("[]", "{", '{"balance": {"mean": "x"}}', '{"survival": 5}', odd):
        file.write_text(text)
        result = topoplan("report", "plan")
        assert result.code == 2
        assert "outcome.json: not what topoplan wrote there" in result.err
        assert not (load / "plan/report.html").exists()
    (load / "plan/experts/outcome.json").unlink()
    for text in ("[]", "{", "{}"):
        (load / "plan/inputs/previous.json").write_text(text)
        assert topoplan("report", "plan").code == 2


def test_maps_are_verified_as_an_engine_would_read_them(topoplan: Callable[..., Any], load: Path) -> None:
    engines = [
        word
        for name in ("sglang", "vllm", "trtllm", "vllm-ascend", "omni-infer", "eplb")
        for word in ("--engine", name)
    ]
    assert topoplan("experts", "load.npy", *SIZE, *engines, "--out", "plan", "--no-report").code == 0
    good = topoplan("verify", "plan")
    assert good.code == 0, good.err
    assert good.out.count("every expert where the plan says") == 6
    file = load / "plan/experts/sglang.json"
    rows = json.loads(file.read_text())["physical_to_logical_map"]
    rows[5][0], rows[5][40] = rows[5][40], rows[5][0]
    file.write_text(json.dumps({"physical_to_logical_map": rows}))
    (load / "plan/experts/vllm.json").write_text("[[0]]")
    bad = topoplan("verify", "plan")
    assert bad.code == 6
    assert "sglang: differs from the plan" in bad.out
    assert "layer 5: GPU 0 holds other experts than the plan says" in bad.out
    assert "vllm: " in bad.out
    assert "2 of 6 orders or maps differ" in bad.err


def test_a_plan_that_the_default_map_cannot_say_is_written_without_it(topoplan: Callable[..., Any], load: Path) -> None:
    uneven = ("-t", "fabric.yaml", "--gpus", "16", "--slots", "145", "--no-report")
    result = topoplan("experts", "load.npy", *uneven, "--out", "plan")
    assert result.code == 0, result.err
    assert "no map for sglang: " in result.err
    assert p2l(load / "plan").shape == (6, 145)
    assert not (load / "plan/experts/sglang.json").exists()
    refused = topoplan("experts", "load.npy", *uneven, "--engine", "sglang", "--out", "never")
    assert refused.code == 3
    assert not (load / "never").exists()
    wrong = topoplan("export", "plan", "--launcher", "sglag")
    assert wrong.code == 2
    assert "did you mean 'sglang'?" in wrong.err
