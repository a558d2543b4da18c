"""What changes of a fabric give: which are asked, and that each is priced as if one asked for it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fabrics import two_leaves
from tests.studies.make import JOB
from topoplan.cost.price import predict
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.job_yaml import parse_job
from topoplan.model.compute import Compute
from topoplan.model.fabric import Fabric
from topoplan.model.placement import RankPlacement
from topoplan.planning.solve import job_traffic, linear_placement
from topoplan.studies import sensitivity as module
from topoplan.studies.exposure import sweep_exposure
from topoplan.studies.fabrics import changed
from topoplan.studies.sensitivity import Sensitivity, sensitivity
from topoplan.studies.upgrades import upgrades
from topoplan.topologies import catalog

JOB_ = parse_job(JOB).job
FABRIC = parse_fabric(two_leaves(hosts=12))  # 23 usable hosts of 4 GPUs, 32 ranks, 6:1 leaves
LINEAR = linear_placement(JOB_, FABRIC)


def found(fabric: Fabric = FABRIC, placement: RankPlacement | None = None) -> Sensitivity:
    placement = placement or linear_placement(JOB_, fabric)
    return sensitivity(JOB_, placement, job_traffic(JOB_, fabric))


def names(fabric: Fabric) -> list[str]:
    return [change.name for change in upgrades(fabric, LINEAR.host)]


def test_what_is_asked_of_a_fabric() -> None:
    faster = ["NICs twice as fast", "NICs and uplinks twice as fast", "NVLink twice as fast"]
    whole = [*faster, "Adaptive routing", "1:1 leaf"]
    assert names(FABRIC) == [*whole, "One more core switch", "One broken leaf"]
    assert "Adaptive routing" not in names(replace(FABRIC, routing="adaptive"))
    assert "1:1 leaf" not in names(changed(FABRIC, {"oversubscription.leaf": 1}))
    bare = replace(FABRIC, tiers=(), groups=(), hosts=tuple(replace(h, group=-1) for h in FABRIC.hosts))
    assert names(bare) == ["NICs twice as fast", "NVLink twice as fast"]
    planes = parse_fabric(catalog.text("alibaba-hpn7"))
    assert not any(change.loses_hosts for change in upgrades(planes, LINEAR.host))


def test_one_to_one_never_takes_links_away() -> None:
    generous = changed(FABRIC, {"oversubscription.leaf": 0.5})
    uneven = replace(FABRIC, groups=(*FABRIC.groups[:2], generous.groups[2]))
    (denser,) = [change.fabric for change in upgrades(uneven, LINEAR.host) if change.name == "1:1 leaf"]
    assert sum(denser.groups[1].uplinks) == 48.0
    assert denser.groups[2].uplinks == generous.groups[2].uplinks


def test_each_change_is_priced_as_if_it_were_the_fabric() -> None:
    traffic = job_traffic(JOB_, FABRIC)
    result = found()
    assert result.now.prediction == predict(FABRIC, traffic, LINEAR.gpu)
    for effect in result.effects:
        if not effect.change.loses_hosts:
            assert effect.kept is not None
            assert effect.kept.prediction == predict(effect.change.fabric, traffic, LINEAR.gpu)
            assert effect.kept.prediction.exposed_ms <= result.now.prediction.exposed_ms * (1 + 1e-9)
        if effect.again is not None and effect.kept is not None:
            assert effect.again.prediction.exposed_ms < effect.kept.prediction.exposed_ms


def test_a_broken_leaf_moves_the_job_or_does_not_fit() -> None:
    moved = found().effects[-1]
    assert moved.best is not None
    lost = moved.change.fabric.free_gpus == 0
    assert not lost[FABRIC.gpu_host[moved.best.gpu]].any()
    small = parse_fabric(two_leaves(hosts=6))
    stuck = found(small).effects[-1]
    assert stuck.best is None
    assert "missing" in stuck.reason


def test_large_jobs_are_planned_again_only_where_hosts_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHEAP", 16)
    result = found()
    assert result.cheap == 16
    assert all(effect.again is None for effect in result.effects if not effect.change.loses_hosts)


def test_steps_where_the_job_computes() -> None:
    job = replace(JOB_, compute=Compute(mfu=0.5, flops_per_s=989e12))
    result = sensitivity(job, LINEAR, job_traffic(job, FABRIC))
    assert result.now.step_s is not None
    faster = result.effects[1].kept  # NICs and uplinks
    assert faster is not None
    assert faster.step_s is not None
    assert 0 < faster.step_s <= result.now.step_s


def test_exposed_time_is_linear_in_each_exposure() -> None:
    traffic = job_traffic(JOB_, FABRIC)
    shares = np.linspace(0.1, 1.0, len(traffic.axes))
    mixed = replace(traffic, exposure=shares)
    sweep = sweep_exposure(JOB_, FABRIC, mixed, LINEAR.gpu, LINEAR.gpu)
    for a, axis in enumerate(sweep.axes):
        for share in (0.0, 0.3, 1.0):
            wanted = replace(traffic, exposure=np.where(np.arange(len(shares)) == a, share, shares))
            price = predict(FABRIC, wanted, LINEAR.gpu).exposed_ms
            assert sweep.exposed_ms(axis.name, share) == pytest.approx(price)
            assert sweep.linear_ms(axis.name, share) == pytest.approx(price)
    assert {axis.source for axis in sweep.axes} == {"assumed"}
    stated = sweep_exposure(replace(JOB_, exposure={"pp": 0.5}), FABRIC, mixed, LINEAR.gpu)
    assert [axis.source for axis in stated.axes if axis.name == "pp"] == ["job file"]
    assert stated.linear_ms("pp", 0.5) is None
