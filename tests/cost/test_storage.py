"""Checkpoints and data: sizes by hand, on NICs of their own or beside the collectives."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cost.jobs import MOE, fabric, job, step
from topoplan.cost.storage import back_end_seconds, front_end_seconds
from topoplan.errors import InputError
from topoplan.model.compute import Compute, Storage
from topoplan.model.fabric import Fabric, Group, Host, Tier
from topoplan.model.host_type import Nic
from topoplan.model.job import Job

FRONT = (Nic(0, 25e9, 0, network="front-end"), Nic(0, 25e9, 0, network="storage"))
SHARE = 0.969  # of the line rate, point to point


def stored(storage: Storage, dp: int, tp: int = 1, pp: int = 1) -> Job:
    return replace(job(tp=tp, pp=pp, dp=dp), storage=storage)


def test_a_checkpoint_holds_weights_and_states_once() -> None:
    flow = step(stored(Storage(checkpoint_every=10), tp=2, pp=2, dp=4)).storage[0]
    weights = 8 * (4 * 1024**2 + 2 * 1024 * 4096) + 2 * 256 * 1024
    assert (flow.name, flow.steps, flow.network) == ("checkpoint", 10, "front-end")
    assert flow.total_bytes == pytest.approx(14 * weights)
    assert flow.seconds is None  # these hosts have no front-end NICs
    assert flow.each_step_s == 0


def test_experts_are_in_the_checkpoint_once() -> None:
    sizes = [
        step(replace(job(MOE, dp=8, ep=ep), storage=Storage(checkpoint_every=1))).storage[0].total_bytes
        for ep in (1, 4)
    ]
    assert sizes[0] == pytest.approx(sizes[1])


def test_data_is_read_for_every_token() -> None:
    flow = step(stored(Storage(bytes_per_token=8), dp=4)).storage[0]
    assert flow.total_bytes == 8 * 2048 * 8 * 4
    assert (flow.name, flow.steps) == ("data", 1)


def test_front_end_by_hand() -> None:
    found = front_end_seconds(fabric(2, other=FRONT), np.arange(16), 1e9)
    assert found == pytest.approx(8 * 1e9 / (50e9 * SHARE))
    assert front_end_seconds(fabric(2), np.arange(16), 1e9) is None


def two_leaves(uplink: float) -> Fabric:
    flat = fabric(4)
    groups = (Group("core", 1), *(Group(name, 0, 0, 8, (0.5,) * 8, uplink) for name in "ab"))
    hosts = tuple(Host(f"n{h}", 0, 1 + h // 2) for h in range(4))
    return Fabric("t", "adaptive", flat.host_types, hosts, (Tier("leaf", 10.0), Tier("core", 20.0)), groups)


def test_back_end_by_hand() -> None:
    seconds = back_end_seconds(two_leaves(50e9), np.arange(32), 1e9)
    ports = 4 * 8
    assert seconds[:ports] == pytest.approx(np.full(ports, 1e9 / (50e9 * SHARE)))
    # two ranks of each rail leave a leaf by half an uplink
    assert seconds[ports:].max() == pytest.approx(2e9 / (0.5 * 50e9 * SHARE))


def test_storage_lengthens_a_step_only_where_it_outlasts_it() -> None:
    quick = stored(Storage(bytes_per_token=8), dp=8)
    slow = stored(Storage(bytes_per_token=1e9), dp=8)
    where = fabric(1, other=FRONT)
    assert step(quick, where).storage_s == 0
    found = step(slow, where)
    assert found.storage_s > 0
    assert found.total_s == pytest.approx(found.storage[0].each_step_s)


def test_on_the_back_end_it_shares_links_with_collectives() -> None:
    """As much storage as fits beside nothing does not fit beside collectives that fill the step."""
    what = job(compute=Compute(mfu=1.0, overlap=()), dp=32, micro_batches=1)
    nics = fabric(4, nic=5e8)
    bare = step(what, nics)
    per_token = 0.6 * bare.total_s * 5e8 * SHARE / 2048
    apart = replace(what, storage=Storage(bytes_per_token=per_token))
    beside = replace(what, storage=Storage("back-end", bytes_per_token=per_token))
    other = fabric(4, nic=5e8, other=tuple(Nic(0, 5e8, i, network="storage") for i in range(8)))
    assert step(apart, other).storage_s == 0
    assert step(beside, other).storage_s > 0.2 * bare.total_s


@pytest.mark.parametrize("bad", [{"network": "usb"}, {"checkpoint_every": -1}, {"bytes_per_token": -1.0}])
def test_what_storage_refuses(bad: dict[str, object]) -> None:
    with pytest.raises(InputError, match="storage"):
        Storage(**bad)  # type: ignore[arg-type]
