"""The Python API: experts placed from Python, and EPLB's function with another import."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import topoplan
from tests.fabrics import two_leaves
from tests.pages import DOCS, README, blocks, section
from topoplan.experts import read_rank_costs, write_rank_costs
from topoplan.files.arrays import Routes
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.experts import ExpertPlacement
from topoplan.planning import api, drop_in
from topoplan.solvers.experts.apart import nearest_load

LOAD = np.random.default_rng(3).lognormal(0, 1, (6, 64)) * 1000


@pytest.fixture
def fabric() -> topoplan.Fabric:
    return parse_fabric(two_leaves(2, ""))


@pytest.mark.parametrize("module", [api, drop_in])
def test_examples_of_the_docstrings_run(module: types.ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 3
    assert result.failed == 0


# ---- place_experts ---------------------------------------------------------------------------------------------


def test_steps_are_summed() -> None:
    steps = np.stack([LOAD, LOAD * 2])
    one, two = (topoplan.place_experts(load, gpus=8, slots=80) for load in (LOAD * 3, steps))
    assert np.array_equal(one.physical_to_logical_map, two.physical_to_logical_map)
    assert one.max_load == pytest.approx(two.max_load)


def test_previous_is_kept_within_the_moves_allowed() -> None:
    before = topoplan.place_experts(LOAD, gpus=8, slots=80)
    changed = LOAD * np.random.default_rng(5).lognormal(0, 0.3, LOAD.shape)
    for previous in (before, before.physical_to_logical_map):
        after = topoplan.place_experts(changed, gpus=8, slots=80, previous=previous, max_moves="5%")
        assert 0 < moved(before, after) <= 24  # 5 % of 6 x 80
        assert moved(before, topoplan.place_experts(changed, gpus=8, slots=80, previous=previous, max_moves=0)) == 0


def test_a_slot_moves_where_that_pays() -> None:
    before = topoplan.place_experts(LOAD, gpus=8, slots=80)
    changed = LOAD * np.random.default_rng(5).lognormal(0, 0.1, LOAD.shape)
    after = [topoplan.place_experts(changed, slots=80, previous=before, move_price=price) for price in (0, 3e-4, 1)]
    moves = [moved(before, placement) for placement in after]
    assert moves[0] > 2 * moves[1] > 0
    assert moves[2] == 0


def moved(before: ExpertPlacement, after: ExpertPlacement) -> int:
    """Slots whose GPU got an expert that it did not hold."""
    count = 0
    for old, new in zip(before.physical_to_logical_map, after.physical_to_logical_map, strict=True):
        for a, b in zip(old.reshape(before.gpus, -1), new.reshape(before.gpus, -1), strict=True):
            count += sum(max(0, (b == e).sum() - (a == e).sum()) for e in set(b))
    return count


def test_fabric_gives_gpus_and_hosts(fabric: topoplan.Fabric) -> None:
    placement = topoplan.place_experts(LOAD, fabric, slots=80, groups=4)
    assert placement.gpus == 16
    assert groups_whole(placement.physical_to_logical_map, groups=4, nodes=4)
    assert topoplan.place_experts(LOAD, fabric, gpus=8, slots=80).gpus == 8


def groups_whole(rows: np.ndarray, *, groups: int, nodes: int) -> bool:
    group = (rows // (64 // groups)).reshape(len(rows), nodes, -1)
    return all((group[layer] == g).any(1).sum() == 1 for layer in range(len(rows)) for g in range(groups))


def test_plan_as_previous_follows_its_gpus(fabric: topoplan.Fabric) -> None:
    from topoplan.planning.experts import ExpertRequest, plan_experts

    plan = plan_experts(ExpertRequest(LOAD, 8, 80), fabric).plan
    assert plan.experts is not None
    same = topoplan.place_experts(LOAD, fabric, slots=80, previous=plan, max_moves=0)
    assert np.array_equal(same.physical_to_logical_map, plan.experts.physical_to_logical_map)
    broken = parse_fabric(two_leaves(2, "n0"))
    kept = topoplan.place_experts(LOAD * 2, broken, slots=80, previous=plan, max_moves=240, move_price=0)
    assert moved(plan.experts, kept) == 0  # the four lost GPUs have 240 slots to fill, so no other may change
    after = topoplan.place_experts(LOAD[:, ::-1], broken, slots=80, previous=plan, max_moves=250, move_price=0)
    assert 0 < moved(plan.experts, after) <= 10
    with pytest.raises(topoplan.InfeasibleError, match="have to move, because GPUs were lost"):
        topoplan.place_experts(LOAD, broken, slots=80, previous=plan, max_moves=3)


def test_uneven_slots_speeds_and_dead_gpus() -> None:
    placement = topoplan.place_experts(LOAD, gpus=5, slots=91, speed=[1, 1, 2, 1, 1], dead=[4], weighted=True)
    assert not (placement.slot_gpu == 4).any()
    assert placement.dispatch is not None
    load = placement.gpu_load(LOAD)
    assert (load[:, 2] > 1.5 * load[:, 0]).all()
    by_gpu = topoplan.place_experts(LOAD, gpus=3, slots=[30, 20, 20])
    assert np.bincount(by_gpu.slot_gpu).tolist() == [30, 20, 20]


def test_routes_give_dispatch_and_fewer_remote_hosts() -> None:
    generator = np.random.default_rng(2)
    groups = generator.integers(0, 8, (2, 400, 1))  # a token's experts are of one group of eight
    ids = (groups * 8 + generator.permuted(np.tile(np.arange(8), (2, 400, 1)), axis=2)[..., :3]).astype(np.int16)
    routes = Routes(ids, generator.random(400))
    load = np.array([np.bincount(layer.ravel(), minlength=64) for layer in ids])
    free, planned = (topoplan.place_experts(load, gpus=8, hosts=4, slots=72, routes=r) for r in (None, routes))
    assert free.dispatch is None
    assert planned.dispatch is not None
    assert planned.dispatch.shape == (4, 2, 72)
    assert remote_hosts(planned.physical_to_logical_map, ids) < 0.8 * remote_hosts(free.physical_to_logical_map, ids)


def remote_hosts(rows: np.ndarray, ids: np.ndarray) -> float:
    """Hosts a token that hold the first copies of its experts."""
    home = np.array([[np.flatnonzero(row == expert)[0] // 18 for expert in range(64)] for row in rows])
    return float(np.mean([[len(set(home[layer, token])) for token in ids[layer]] for layer in range(len(ids))]))


def test_the_nearest_copy_is_nearly_as_good_as_even_use_through_the_api(fabric: topoplan.Fabric) -> None:
    load = np.random.default_rng(8).lognormal(0, 1, (4, 64)) * 1000
    host = np.repeat(np.arange(4), 4)
    for found in (
        topoplan.place_experts(load, fabric, slots=80),
        topoplan.place_experts(load, gpus=16, hosts=4, slots=80),
    ):
        assert found.max_load is not None
        kept = []
        for p2l, row, largest in zip(found.physical_to_logical_map, load, found.max_load, strict=True):
            kept.append(largest / nearest_load(p2l, found.slot_gpu, row, host).max())
        assert np.mean(kept) >= 0.95


def test_copies_are_kept_on_different_hosts_or_leaves(fabric: topoplan.Fabric) -> None:
    for name, domain in (("host", np.repeat(np.arange(4), 4)), ("leaf", np.repeat(np.arange(2), 8))):
        found = topoplan.place_experts(LOAD, fabric, slots=144, replicas_across=(name, 2))
        where = domain[found.slot_gpu]
        assert min(len(set(where[row == e])) for row in found.physical_to_logical_map for e in range(64)) >= 2
    found = topoplan.place_experts(LOAD, gpus=8, hosts=4, slots=144, replicas_across=("host", 2))
    assert found.balancedness(LOAD).mean() > 0.98
    with pytest.raises(topoplan.InputError, match="leaves need a fabric"):
        topoplan.place_experts(LOAD, gpus=8, hosts=4, slots=144, replicas_across=("leaf", 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"load": "text"}, "not a table"),
        ({"load": [[1, 2], [3]]}, "not a table"),
        ({"load": [[1, -2]]}, "layer 0: the load of expert 1 is negative"),
        ({"load": [[1, 2], [0, 0]]}, "layer 1 has no tokens"),
        ({"load": [[1, float("nan")]]}, "layer 0: the load of expert 1"),
        ({"gpus": 0}, "how many GPUs"),
        ({"slots": 1}, "cannot hold"),
        ({"max_moves": 3}, "needs a previous"),
        ({"min_balance": 0.9}, "needs routes"),
        ({"max_moves": "many", "previous": [[0, 1, 0, 1]]}, "many"),
        ({"previous": [[0, 1, 0, 1]], "gpus": 0}, "how many GPUs the previous map is for"),
        ({"previous": [[0, 0, 0, 0]]}, "no slot|has 1 experts|previous"),
    ],
)
def test_bad_requests(change: dict[str, Any], message: str) -> None:
    wanted = {"load": [[1, 2]], "gpus": 2, "slots": 4, **change}
    with pytest.raises(topoplan.InputError, match=message):
        topoplan.place_experts(wanted.pop("load"), **wanted)


# ---- rank costs ------------------------------------------------------------------------------------------------


def test_rank_costs(fabric: topoplan.Fabric) -> None:
    from topoplan.planning.experts import ExpertRequest, plan_experts

    plan = plan_experts(ExpertRequest(LOAD, 16, 80), fabric).plan
    costs = topoplan.rank_costs(plan)
    assert costs[0].tolist() == [0, 1, 1, 1, *[10] * 4, *[20] * 8]
    assert np.array_equal(costs, costs.T)
    assert np.array_equal(read_rank_costs(write_rank_costs(costs)), costs)
    mixed = np.random.default_rng(1).permutation(16)
    assert np.array_equal(topoplan.rank_costs(replace(plan, ep_rank_to_rank=mixed[None])), costs[mixed][:, mixed])
    with pytest.raises(topoplan.InputError, match="places nothing"):
        topoplan.rank_costs(replace(plan, placement=None))


# ---- rebalance_experts -----------------------------------------------------------------------------------------


def check_arrays(weight: np.ndarray, slots: int, arrays: tuple[Any, Any, Any]) -> None:
    """What EPLB promises of its three arrays."""
    phy2log, log2phy, logcnt = (np.asarray(array) for array in arrays)
    layers, experts = weight.shape
    assert phy2log.dtype == log2phy.dtype == logcnt.dtype == np.int64
    assert phy2log.shape == (layers, slots)
    assert logcnt.shape == (layers, experts)
    assert log2phy.shape == (layers, experts, logcnt.max())
    for layer in range(layers):
        assert logcnt[layer].tolist() == np.bincount(phy2log[layer], minlength=experts).tolist()
        for expert in range(experts):
            listed = log2phy[layer, expert]
            assert sorted(listed[listed >= 0]) == np.flatnonzero(phy2log[layer] == expert).tolist()
            assert (listed[logcnt[layer, expert] :] == -1).all()


def test_arrays_of_the_drop_in() -> None:
    check_arrays(LOAD, 80, topoplan.rebalance_experts(LOAD, 80, 8, 2, 8))
    check_arrays(LOAD, 80, topoplan.rebalance_experts(LOAD.tolist(), 80, 1, 2, 8))
    check_arrays(LOAD, 64, topoplan.rebalance_experts(LOAD, 64, 1, 1, 8))


def test_groups_stay_whole_where_the_nodes_divide_them() -> None:
    hierarchical = topoplan.rebalance_experts(LOAD, 80, 8, 4, 8)[0]
    assert groups_whole(hierarchical, groups=8, nodes=4)
    free = topoplan.rebalance_experts(LOAD, 80, 8, 3, 8)[0]  # 3 nodes do not divide 8 groups, nor the GPUs: any host
    assert not groups_whole(free, groups=8, nodes=4)
    heavy = [ExpertPlacement(8, rows).gpu_load(LOAD).max(1).mean() for rows in (free, hierarchical)]
    assert heavy[0] < heavy[1]


@pytest.mark.parametrize(("groups", "nodes", "gpus"), [(4, 3, 8), (1, 2, 8), (5, 3, 8), (2, 4, 8)])
def test_anything_goes_anywhere_where_nodes_do_not_divide_the_groups(groups: int, nodes: int, gpus: int) -> None:
    # EPLB then plans one group on one node, whatever the experts and GPUs divide into
    found, _, _ = topoplan.rebalance_experts(LOAD, 80, groups, nodes, gpus)
    free, _, _ = topoplan.rebalance_experts(LOAD, 80, 1, 1, gpus)
    assert np.array_equal(found, free)
    placement = ExpertPlacement(gpus, found)
    assert placement.balancedness(LOAD).mean() > 0.99
    host = placement.slot_gpu * 2 // gpus
    assert any(len(set(host[row // 16 == 0])) > 1 for row in found)


def test_old_indices_keep_experts_in_their_slots() -> None:
    before = topoplan.rebalance_experts(LOAD, 80, 1, 2, 8)[0]
    assert np.array_equal(topoplan.rebalance_experts(LOAD, 80, 1, 2, 8, before)[0], before)
    changed = LOAD * np.random.default_rng(5).lognormal(0, 0.05, LOAD.shape)
    after = topoplan.rebalance_experts(changed, 80, 1, 2, 8, old_global_expert_indices=before)[0]
    afresh = topoplan.rebalance_experts(changed, 80, 1, 2, 8)[0]
    assert (afresh != before).mean() > 0.7
    assert 0 < (after != before).mean() < 0.3
    stay, new = (ExpertPlacement(8, rows).balancedness(changed).mean() for rows in (after, afresh))
    assert stay > new - 0.02


def test_old_indices_that_cannot_be_followed() -> None:
    fresh = topoplan.rebalance_experts(LOAD, 80, 1, 2, 8)[0]
    lost = fresh.copy()
    lost[:, :40] = -1  # half of the GPUs are gone
    for old in (fresh[:, :64], fresh[:2], lost):
        assert np.array_equal(topoplan.rebalance_experts(LOAD, 80, 1, 2, 8, old)[0], fresh)
    with pytest.raises(topoplan.InputError, match="does not exist"):
        topoplan.rebalance_experts(LOAD, 80, 1, 2, 8, fresh + 1)


def test_layers_without_tokens_are_balanced_as_if_even() -> None:
    weight = LOAD.copy()
    weight[2] = 0
    arrays = topoplan.rebalance_experts(weight, 80, 8, 2, 8)
    check_arrays(weight, 80, arrays)
    assert arrays[2][2].max() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LOAD, 81, 8, 2, 8), "81 replicas do not divide by 8 GPUs"),
        ((LOAD, 80, 6, 2, 8), "64 experts do not divide into 6 groups"),
        ((LOAD, 84, 6, 3, 7), "64 experts do not divide into 6 groups"),
        ((LOAD, 84, 8, 4, 7), "7 GPUs do not divide by 4 nodes"),
        ((LOAD, 80, 0, 2, 8), "num_groups is 0"),
        ((LOAD, 32, 8, 2, 8), "layer 0"),
        ((LOAD[0], 80, 8, 2, 8), r"shape \[64\]"),
        ((LOAD[None], 80, 8, 2, 8), r"shape \[1, 6, 64\]"),
        ((-LOAD, 80, 8, 2, 8), "layer 0: the load of expert 0 is negative"),
    ],
)
def test_bad_sizes(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(topoplan.InputError, match=message):
        topoplan.rebalance_experts(*arguments)


def test_torch_in_torch_out() -> None:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        pytest.skip("torch is not installed; tensors cannot be tried without it")
    rounded = LOAD.round()
    expected = topoplan.rebalance_experts(rounded, 80, 8, 2, 8)
    for kind in (torch.int32, torch.float32, torch.float64):
        got = topoplan.rebalance_experts(
            torch.from_numpy(rounded).to(kind).requires_grad_(kind.is_floating_point), 80, 8, 2, 8
        )
        for tensor, array in zip(got, expected, strict=True):
            assert (tensor.dtype, tensor.device.type, tensor.requires_grad) == (torch.int64, "cpu", False)
            assert np.array_equal(tensor.numpy(), array)
    check_arrays(rounded, 80, topoplan.rebalance_experts(torch.from_numpy(rounded).bfloat16(), 80, 8, 2, 8))
    old = topoplan.rebalance_experts(torch.from_numpy(rounded), 80, 8, 2, 8, got[0])[0]
    assert torch.equal(old, got[0])
    placed = topoplan.place_experts(torch.from_numpy(rounded), gpus=8, slots=80)
    assert isinstance(placed.physical_to_logical_map, np.ndarray)


def test_torch_is_never_imported() -> None:
    code = "import sys, topoplan; topoplan.rebalance_experts([[1, 2]], 2, 1, 1, 1); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- the README and docs/experts.md ----------------------------------------------------------------------------


def test_python_of_the_readme_and_its_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class DefaultEplbPolicy:
        """Stands for vLLM's, which needs GPUs."""

    for name in ("vllm", "vllm.distributed", "vllm.distributed.eplb", "vllm.distributed.eplb.policy"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    policy = types.ModuleType("vllm.distributed.eplb.policy.default")
    policy.DefaultEplbPolicy = DefaultEplbPolicy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, policy.__name__, policy)
    monkeypatch.chdir(tmp_path)
    (first,) = blocks(section(README, "Experts"), "python")
    more, vllm = blocks((DOCS / "experts.md").read_text(), "python")
    names: dict[str, Any] = {}
    for block in (first, more, vllm):
        exec(block, names)
    assert (tmp_path / "trtllm.yaml").exists()
    assert not (names["placed"].slot_gpu == 7).any()
    assert names["after"].balancedness(names["later"]).mean() > names["placement"].balancedness(names["later"]).mean()
    assert names["phy2log"].shape == (58, 288)
    phy2log = DefaultEplbPolicy.rebalance_experts(LOAD, 80, 8, 2, 8, None)  # type: ignore[attr-defined]
    assert np.array_equal(phy2log, topoplan.rebalance_experts(LOAD, 80, 8, 2, 8)[0])
