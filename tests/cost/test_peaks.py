"""Links of axes: alone as the price has them but for what links reach, together as their sum on each link."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cost.jobs import MOE, fabric, job
from tests.cost.test_storage import two_leaves
from topoplan.cost.collectives.rates import rate
from topoplan.cost.peaks import efficiency, peaks
from topoplan.cost.price import predict
from topoplan.model.demand import traffic_of
from topoplan.model.fabric import Fabric
from topoplan.model.traffic import Traffic
from topoplan.planning.step import stages_of

WHAT = job(MOE, pp=2, dp=16, ep=8)


def traffic() -> Traffic:
    stages = stages_of(WHAT)
    assert stages is not None
    return traffic_of(WHAT, stages.first, 8)


def hashed(uplink: float) -> Fabric:
    plain = two_leaves(uplink)
    groups = (plain.groups[0], *(replace(group, uplinks=(2.0,) * 8) for group in plain.groups[1:]))
    return Fabric("e", "ecmp", plain.host_types, plain.hosts, plain.tiers, groups)


@pytest.mark.parametrize(
    "where", [fabric(4), two_leaves(50e9), two_leaves(5e9), hashed(50e9)], ids=lambda f: str(f.name)
)
@pytest.mark.parametrize("stride", [1, 5])
def test_axes_alone_take_what_the_price_says_at_the_rates_links_reach(where: Fabric, stride: int) -> None:
    gpu = np.arange(32) * stride % 32
    flows = traffic()
    priced, found = predict(where, flows, gpu), peaks(where, flows, gpu)
    for a, axis in enumerate(flows.axes):
        shares = efficiency(where, axis)
        line = priced.axes[axis] / 1e3 - found.wait[a]
        assert line / max(shares) <= (found.alone(axis) - found.wait[a]) * (1 + 1e-9)
        assert (found.alone(axis) - found.wait[a]) * min(shares) <= line * (1 + 1e-9)


def test_together_they_share_links_and_do_not_add_up_where_they_have_none_in_common() -> None:
    found = peaks(fabric(4), traffic(), np.arange(32))
    every = dict.fromkeys(found.axes, 1.0)
    alone = [found.alone(axis) for axis in found.axes]
    assert max(alone) <= found.together(every) * (1 + 1e-9)
    assert found.together(every) < sum(alone)
    assert found.together({}) == 0
    assert found.alone("tp") == 0
    assert found.together({"dp": 0.5}) == pytest.approx(0.5 * found.alone("dp"))
    assert found.busiest_s <= sum(alone)


def test_rates_are_those_of_the_collectives() -> None:
    where = fabric(4)
    assert efficiency(where, "dp") == (rate("nvlink", "ring", 450e9).share, rate("infiniband", "ring", 50e9).share)
    assert efficiency(where, "pp") == (rate("nvlink", "p2p", 450e9).share, rate("infiniband", "p2p", 50e9).share)
    assert efficiency(hashed(1e9), "ep")[1] == rate("ethernet", "moe", 50e9).share


@pytest.mark.parametrize("stride", [1, 3, 5, 7])
def test_hashing_of_one_axis_does_not_slow_what_another_puts_on_nics(stride: int) -> None:
    found = peaks(hashed(50e9), traffic(), np.arange(32) * stride % 32)
    assert found.uneven.max() > 0
    for few in (dict.fromkeys(found.axes, 1.0), dict.fromkeys(found.axes, 0.1) | {"ep": 1.0}):
        most = sum(share * found.alone(axis) for axis, share in few.items())
        assert found.together(few) <= most * (1 + 1e-9)
