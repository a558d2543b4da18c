"""GPUs of an expert-parallel group: close together, over leaves, or those of a previous plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import Fabric, Group, Host, HostType, Nic, Tier
from topoplan.model.plan import Plan
from topoplan.planning.expert_site import Site, choose_site, previous_site


@pytest.fixture
def fabric() -> Fabric:
    """Three leaves of three hosts with two GPUs each."""
    kind = HostType("box", 2, (Nic(0, 50e9, 0), Nic(1, 50e9, 1)), 2, 450e9)
    leaves = [Group(f"leaf{i}", 0, 0, 2, (3.0, 3.0), 50e9) for i in range(3)]
    return Fabric(
        "t", "ecmp", (kind,), tuple(Host(f"n{h}", 0, 1 + h // 3) for h in range(9)),
        (Tier("leaf", 10), Tier("core", 20)), (Group("core", 1), *leaves),
    )  # fmt: skip


def plan_on(site: Site) -> Plan:
    """A plan of one layer, an expert a GPU."""
    gpus = site.gpus
    experts = ExpertPlacement(gpus, np.arange(gpus)[None, :])
    return Plan("x", "t", {}, 0, placement=site.placement, experts=experts, ep_rank_to_rank=np.arange(gpus)[None, :])


def test_a_group_is_close_together_unless_it_must_be_apart(fabric: Fabric) -> None:
    assert set(choose_site(fabric, 6).leaf) == {0}
    assert choose_site(fabric, 6, leaves=3).leaf.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(InfeasibleError, match="has 3 with so many"):
        choose_site(fabric, 8, leaves=4)
    with pytest.raises(InfeasibleError, match="has 0 with so many"):
        choose_site(fabric, 16, leaves=2)


def test_lost_gpus_are_replaced_by_near_ones(fabric: Fabric) -> None:
    site = choose_site(fabric, 4)
    plan = plan_on(site)
    same = previous_site(fabric, plan, 4)
    assert np.array_equal(same.placement.gpu, site.placement.gpu)
    assert not same.fresh.any()
    host, gpu = int(site.placement.host[1]), int(site.placement.local[1])
    less = replace(fabric, unusable_gpus=frozenset({(host, gpu)}))
    found = previous_site(less, plan, 4)
    assert found.fresh.tolist() == [False, True, False, False]
    assert found.lost == (f"n{host}:{gpu}",)
    assert fabric.host_group[found.placement.host[1]] == fabric.host_group[host]  # the third host of the leaf
    used = {(h, g) for h in range(9) for g in (0, 1)} - {(int(h), g) for h in site.placement.host for g in (0, 1)}
    with pytest.raises(InfeasibleError, match="none is spare"):
        previous_site(replace(fabric, unusable_gpus=frozenset({*used, (host, gpu)})), plan, 4)


def test_another_size_is_refused(fabric: Fabric) -> None:
    with pytest.raises(InputError, match="has experts on 4 GPUs, --gpus asks for 6"):
        previous_site(fabric, plan_on(choose_site(fabric, 4)), 6)
