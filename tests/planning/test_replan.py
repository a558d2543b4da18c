"""Replan through planning: spares, demands on hosts, differences and bytes of state."""

from dataclasses import replace

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.files.plan_json import format_plan, parse_plan
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.presets import PRESETS
from topoplan.planning.diff import diff_plans, state_bytes
from topoplan.planning.replan import MoveLimit, parse_count, parse_share, replan, revise
from topoplan.planning.solve import SolveOptions, solve
from topoplan.solvers.ranks import RankParams

MODEL = ModelShape("tiny", 8, 1024, 8, 8, 128, 4096, 1000)
QUICK = SolveOptions(params=RankParams(proposals=200, exact=None))


def _job(name: str = "j", dp: int = 4) -> Job:
    return Job(name, 4 * dp, MODEL, Parallel(tp=2, pp=2, dp=dp), batch=Batch(1024, 1, 8))


def _fabric(leaves: tuple[int, ...] = (5, 5, 4)) -> Fabric:
    kind = HostType("box", 2, (Nic(0, 50e9, 0), Nic(1, 50e9, 1)), 2, 450e9)
    groups = [Group("core", 1), *(Group(f"leaf-{k}", 0, 0, 2, (2.0, 2.0), 50e9) for k in range(len(leaves)))]
    group = np.repeat(np.arange(len(leaves)), leaves)
    hosts = tuple(Host(f"n{i}", 0, 1 + int(k)) for i, k in enumerate(group))
    return Fabric("f", "ecmp", (kind,), hosts, (Tier("leaf", 10), Tier("core", 20)), tuple(groups))


def _hosts(plan: Plan) -> set[str]:
    assert plan.placement is not None
    return {plan.placement.fabric.host_names[h] for h in plan.placement.host}


def _without(fabric: Fabric, *names: str) -> Fabric:
    gone = frozenset((fabric.host_index[name], g) for name in names for g in (0, 1))
    return replace(fabric, unusable_gpus=gone)


def test_a_lost_host_is_replaced_by_the_spare_set_aside() -> None:
    fabric = _fabric()
    before = solve(_job(), fabric, replace(QUICK, spares=2))
    assert len(before.spares) == 2
    assert not set(before.spares) & _hosts(before)
    lost = sorted(_hosts(before))[3]
    after = replan(_job(), _without(fabric, lost), before, QUICK)
    assert _hosts(before) - _hosts(after) == {lost}
    (new,) = _hosts(after) - _hosts(before)
    assert new in before.spares
    assert set(after.spares) == set(before.spares) - {new}
    assert after.warnings == ()


def test_spares_survive_plan_json() -> None:
    plan = solve(_job(), _fabric(), replace(QUICK, spares=2))
    assert parse_plan(format_plan(plan), _fabric()).spares == plan.spares


def test_avoiding_a_host_replaces_it_and_a_second_replan_does_nothing() -> None:
    fabric = _fabric()
    before = solve(_job(), fabric, QUICK)
    name = sorted(_hosts(before))[0]
    after = replan(_job(), fabric, before, replace(QUICK, avoid=(name,)))
    assert _hosts(before) - _hosts(after) == {name}
    again = replan(_job(), fabric, after, QUICK)
    assert diff_plans(after, again).moves == ()


def test_hosts_are_matched_by_name_when_the_fabric_is_listed_anew() -> None:
    before = solve(_job(), _fabric(), QUICK)
    turned = replace(_fabric(), hosts=_fabric().hosts[::-1])
    after = replan(_job(), turned, before, QUICK)
    assert diff_plans(before, after).moves == ()


def test_a_crowded_replan_says_so() -> None:
    fabric = replace(_fabric((5, 4)), unusable_gpus=frozenset({(8, 1), (7, 0)}))
    job = _job(dp=3)
    before = solve(job, fabric, QUICK)
    lost = [n for n in sorted(_hosts(before)) if n not in ("n7", "n8")][:2]
    broken = frozenset((fabric.host_index[n], g) for n in lost for g in (0, 1)) | fabric.unusable_gpus
    after = replan(job, replace(fabric, unusable_gpus=broken), before, QUICK)
    moved = {m.rank for m in diff_plans(before, after).moves}
    assert len(moved) == 4
    assert any("too few whole hosts were free" in text for text in after.warnings)


def test_previous_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="16 ranks, the job 8"):
        replan(_job(dp=2), _fabric(), solve(_job(), _fabric(), QUICK), QUICK)


def test_require_keeps_the_job_in_a_group_or_says_what_is_short() -> None:
    plan = solve(_job(dp=2), _fabric(), replace(QUICK, require="leaf", spares=1))
    assert plan.placement is not None
    groups = {plan.placement.fabric.host_group[h] for h in plan.placement.host}
    assert len(groups) == 1
    spare = plan.placement.fabric.host_index[plan.spares[0]]
    assert plan.placement.fabric.host_group[spare] in groups
    with pytest.raises(InfeasibleError, match="3 hosts short in leaf-0; 2 leaves needed"):
        solve(_job(), _fabric(), replace(QUICK, require="leaf"))


def test_reserved_hosts_are_never_used_and_avoided_ones_last() -> None:
    plan = solve(_job(), _fabric(), replace(QUICK, reserve=("n0", "n1"), avoid=("n2", "n3", "n4", "n5", "n6")))
    assert not {"n0", "n1"} & _hosts(plan)
    # 7 hosts are left without the avoided ones; one of those is needed
    (used,) = {"n2", "n3", "n4", "n5", "n6"} & _hosts(plan)
    assert f"1 host to be avoided is used ({used}): the others do not suffice" in plan.warnings
    with pytest.raises(InfeasibleError, match="the 7 of 9 hosts that it may use have 14 usable GPUs: 2 missing"):
        solve(_job(), _fabric((5, 4)), replace(QUICK, reserve=("n0", "n1")))
    with pytest.raises(InputError, match="host 'nowhere' of --avoid"):
        solve(_job(), _fabric(), replace(QUICK, avoid=("nowhere",)))


def test_state_of_a_dense_job_adds_up() -> None:
    whole = MODEL.parameters
    base = _job()
    assert base.parallel is not None
    for zero, each in ((0, 14.0), (1, 2 + 12 / 4), (3, 14 / 4)):
        state = state_bytes(replace(base, parallel=replace(base.parallel, zero=zero)))
        assert state is not None
        # each weight is on 4 data-parallel ranks
        assert state.sum() == pytest.approx(whole * 4 * each)


def test_state_of_experts_is_shared_over_their_own_copies() -> None:
    model = PRESETS["deepseek-v3"]
    job = Job("j", 256, model, Parallel(pp=2, dp=128, ep=64, zero=1), batch=Batch(4096))
    routed = sum(model.routed_layer_weights(i) for i in range(model.layers))
    state = state_bytes(job)
    assert state is not None
    dense = (model.parameters - routed) * (2 * 128 + 12)
    assert state.sum() == pytest.approx(dense + routed * (2 * 2 + 12))


def test_diff_counts_state_of_ranks_that_change_hosts() -> None:
    fabric, job = _fabric(), _job()
    before = solve(job, fabric, QUICK)
    lost = sorted(_hosts(before))[0]
    found = diff_plans(before, replan(job, _without(fabric, lost), before, QUICK), job)
    state = state_bytes(job)
    assert state is not None
    assert found.left == (lost,)
    assert found.state_bytes == pytest.approx(state[[m.rank for m in found.moves]].sum())
    with pytest.raises(InputError, match="not the same job"):
        diff_plans(before, solve(_job(dp=2), fabric, QUICK))


def test_a_plan_says_why_groups_are_split() -> None:
    # hosts of three GPUs hold one group of two each: six of eight
    kind = HostType("box", 3, (Nic(0, 50e9, 0),), 3, 450e9)
    fabric = Fabric("f", "ecmp", (kind,), tuple(Host(f"n{i}", 0) for i in range(6)))
    plan = solve(_job(), fabric, QUICK)
    assert any("tp groups (2 ranks) are split" in text for text in plan.warnings)
    assert "the usable NVLink domains hold 6 of them whole (6 x 3 usable GPUs)" in " ".join(plan.warnings)


def _scattered(fabric: Fabric, job: Job) -> Plan:
    """A plan whose hosts are dealt out over the leaves."""
    plan = solve(job, fabric, QUICK)
    assert plan.placement is not None
    hosts = [0, 5, 1, 6, 2, 7, 3, 8]
    gpu = np.concatenate([fabric.gpu_offset[h] + np.arange(2) for h in hosts])
    return replace(plan, placement=RankPlacement(fabric, gpu))


def test_fewest_moves_for_a_stated_loss() -> None:
    fabric, job = _fabric(), _job()
    before = _scattered(fabric, job)
    least = revise(job, _without(fabric, "n5"), before, QUICK, MoveLimit(loss=9.0))
    assert len(diff_plans(before, least.plan).moves) == 2
    assert least.curve[0].chosen
    best = revise(job, _without(fabric, "n5"), before, QUICK, MoveLimit(loss=0.0))
    assert len(best.curve) > 1
    assert best.curve[-1].chosen
    assert best.curve[-1].loss == 0
    assert [step.moved for step in best.curve] == sorted({step.moved for step in best.curve})
    for step in best.curve:
        assert step.loss == pytest.approx(step.prediction.exposed_ms / best.curve[-1].prediction.exposed_ms - 1)
    difference = diff_plans(before, best.plan, job)
    assert len(difference.moves) == best.curve[-1].moved
    assert difference.state_bytes == pytest.approx(best.curve[-1].state_bytes)


def test_no_more_moves_than_allowed() -> None:
    fabric, job = _fabric(), _job()
    before = _scattered(fabric, job)
    for most in (2, 4, 9, 16):
        done = revise(job, _without(fabric, "n5"), before, QUICK, MoveLimit(moves=most))
        moved = len(diff_plans(before, done.plan).moves)
        assert moved <= most
        (chosen,) = [step for step in done.curve if step.chosen]
        assert chosen.moved == moved
        allowed = [step for step in done.curve if step.moved <= most]
        good = allowed[-1].prediction.exposed_ms * (1 + 1e-3)
        assert chosen is next(step for step in allowed if step.prediction.exposed_ms <= good)
    with pytest.raises(InfeasibleError, match="2 ranks lost their GPUs and have to move, but only 1 may"):
        revise(job, _without(fabric, "n5"), before, QUICK, MoveLimit(moves=1))
    with pytest.raises(InfeasibleError, match="2 moves lose"):
        revise(job, _without(fabric, "n5"), before, QUICK, MoveLimit(moves=2, loss=0.0))


@pytest.mark.parametrize(("text", "count"), [("40", 40), ("7%", 70), ("0", 0), ("100%", 1000)])
def test_counts_of_ranks(text: str, count: int) -> None:
    assert parse_count(text, 1000, "--max-moves") == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "nan", "inf", "-2%"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--max-moves"):
        parse_count(text, 1000, "--max-moves")
    if text != "1.5":
        with pytest.raises(InputError, match="--max-loss"):
            parse_share(text, "--max-loss")


def test_losses() -> None:
    assert parse_share("1%", "--max-loss") == pytest.approx(0.01)
    assert parse_share("0.02", "--max-loss") == pytest.approx(0.02)
