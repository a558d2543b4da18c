"""SimGrid judges the sums: the same flows over the same fabric, in a flow-level simulator that shares links fairly.

It shares the fluid picture with the model, so it judges the arithmetic; measurements judge the picture. What predicts
is fair sharing (`fair_price`), and the sums of the slowest links (`predict`), which neglect that a flow held up on one
link comes late to another.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from scipy.stats import kendalltau

from topoplan.cost.fair import fair_price
from topoplan.cost.price import predict
from topoplan.model.demand import traffic_of
from topoplan.model.fabric import Fabric, Group, Host, HostType, IntArray, Nic, Tier
from topoplan.model.job import Batch, Job, ModelShape, Parallel
from topoplan.model.patterns import all_to_all, rail_ring
from topoplan.model.presets import PRESETS
from topoplan.model.traffic import Traffic
from topoplan.topologies.writers import write

pytestmark = pytest.mark.slow

PYTHON = "/usr/bin/python3"  # Debian's: python3-simgrid is built for it
RUNS = Path(__file__).with_name("simgrid_runs.py")
HOSTS, GPUS = 16, 8
# Against SimGrid 3.32: one phase, several, and the order of placements
ONE_PHASE, PHASES, ORDER = 0.01, 0.05, 0.95
# What the slowest links alone reach of ORDER (.946 on the dense job): fair sharing keeps the target, they do not
ORDER_OF_SLOWEST_LINKS = 0.94

Flow = tuple[str, str, float]
Chain = list[list[Flow]]  # phases, one after the other


def cannot_run(reason: str) -> NoReturn:
    """Skip, or fail where the judge must sit."""
    if os.environ.get("CI", "").lower() in ("1", "true") and os.geteuid() == 0:
        pytest.fail(f"CI must run SimGrid: {reason}")
    pytest.skip(reason)


@cache
def oversubscribed() -> Fabric:
    """16 hosts of 8 GPUs below four leaves, 2:1; perfect spreading."""
    kind = HostType("box", GPUS, tuple(Nic(i, 50e9, i) for i in range(GPUS)), GPUS, 450e9)
    groups = [Group("core", 1)] + [Group(f"leaf-{k}", 0, 0, GPUS, (2.0,) * GPUS, 50e9) for k in range(4)]
    hosts = tuple(Host(f"n{i}", 0, 1 + i // 4) for i in range(HOSTS))
    return Fabric("judged", "adaptive", (kind,), hosts, (Tier("leaf", 10.0), Tier("core", 20.0)), tuple(groups))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        found = subprocess.run([PYTHON, "-c", "import simgrid"], capture_output=True, check=False, timeout=180)
    except OSError as error:
        cannot_run(str(error))
    if found.returncode:
        cannot_run("python3-simgrid is not installed (apt-get install python3-simgrid)")
    path = tmp_path_factory.mktemp("simgrid") / "platform.xml"
    # SimGrid weighs flows by the inverse of their latency, which RDMA does not: without latency all are alike
    path.write_text(re.sub(r'latency="[^"]*"', 'latency="0s"', write(oversubscribed(), "simgrid")))
    return path


def simulate(platform: Path, runs: Sequence[Sequence[Chain]]) -> list[float]:
    """Seconds of each run; the chains of a run start together."""
    asked = json.dumps({"platform": str(platform), "runs": runs})
    done = subprocess.run([PYTHON, str(RUNS)], input=asked, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    seconds: list[float] = json.loads(done.stdout)
    assert len(seconds) == len(runs)
    return seconds


def mixture() -> Traffic:
    """A mixture of experts on 128 ranks: dispatch, pipeline and both gradients, without latency."""
    layout = Parallel(tp=1, pp=2, dp=64, ep=32)
    job = Job("judged", 128, PRESETS["deepseek-v3"], layout, batch=Batch(4096, 1, 4))
    return silent(traffic_of(job, (0, 31, 61), GPUS))


def dense() -> Traffic:
    """Tensor, context, pipeline and data parallelism on 128 ranks, without latency."""
    shape = ModelShape("dense", 32, 4096, 32, 8, 128, 14336, 128256)
    job = Job("judged", 128, shape, Parallel(tp=4, cp=2, pp=4, dp=4), batch=Batch(8192, 1, 8))
    return silent(traffic_of(job, (0, 8, 16, 24, 32), GPUS))


BOTH = pytest.mark.parametrize("make", [mixture, dense])


def silent(traffic: Traffic) -> Traffic:
    return replace(traffic, messages=np.zeros(len(traffic.axes)))


def placements(count: int, seed: int) -> list[IntArray]:
    """Random orders of hosts, ranks filling each in turn."""
    rng = np.random.default_rng(seed)
    return [(rng.permutation(HOSTS)[:, None] * GPUS + np.arange(GPUS)).ravel() for _ in range(count)]


def chain(traffic: Traffic, gpu: IntArray) -> Chain:
    """What each axis sends between GPUs, as the platform names them; one axis after the other."""
    fabric = oversubscribed()
    names = [f"{fabric.host_names[h]}-gpu{g}" for h, g in zip(fabric.gpu_host, fabric.gpu_local, strict=True)]
    return [
        [
            (names[gpu[s]], names[gpu[d]], float(b))
            for s, d, b in zip(flows.src, flows.dst, np.rint(flows.bytes), strict=True)
        ]
        for flows in traffic.flows
    ]


def worst(simulated: Sequence[float], predicted: Sequence[float]) -> float:
    return max(abs(s / p - 1) for s, p in zip(simulated, predicted, strict=True))


def agree(what: str, simulated: Sequence[float], predicted: Sequence[float], within: float) -> None:
    print(f"{what}: worst {100 * worst(simulated, predicted):.3g} % of {len(simulated)}")
    assert worst(simulated, predicted) <= within


def order(simulated: Sequence[float], predicted: Sequence[float]) -> float:
    """Kendall's tau-b; times that agree within a millionth are ties."""

    def rounded(seconds: Sequence[float]) -> list[float]:
        return [float(f"{s:.6g}") for s in seconds]

    assert len(set(rounded(predicted))) >= 10
    return float(kendalltau(rounded(simulated), rounded(predicted)).statistic)


@BOTH
def test_one_phase(platform: Path, make: Callable[[], Traffic]) -> None:
    traffic, gpus = make(), placements(10, 1)
    simulated = simulate(platform, [[[phase]] for gpu in gpus for phase in chain(traffic, gpu)])
    predicted = [fair_price(oversubscribed(), traffic, gpu).axes[a] / 1e3 for gpu in gpus for a in traffic.axes]
    agree(f"one phase, {make.__name__}, fair sharing", simulated, predicted, ONE_PHASE)
    slowest = [predict(oversubscribed(), traffic, gpu).axes[a] / 1e3 for gpu in gpus for a in traffic.axes]
    print(f"one phase, {make.__name__}, slowest links: worst {100 * worst(simulated, slowest):.3g} %")
    assert all(s <= p * (1 + 1e-6) for s, p in zip(slowest, simulated, strict=True))  # a bound from below


@BOTH
def test_axes_at_once(platform: Path, make: Callable[[], Traffic]) -> None:
    traffic, gpus = make(), placements(10, 2)
    simulated = simulate(platform, [[[phase] for phase in chain(traffic, gpu)] for gpu in gpus])
    fair = [fair_price(oversubscribed(), traffic, gpu) for gpu in gpus]
    agree(f"axes at once, {make.__name__}", simulated, [p.together_ms / 1e3 for p in fair], PHASES)
    # they do share links: each of them alone would be another prediction
    assert all(max(p.together[a] / p.axes[a] for a in traffic.axes) > 1.05 for p in fair)


@BOTH
def test_axes_in_turn_over_fifty_placements(platform: Path, make: Callable[[], Traffic]) -> None:
    traffic, gpus = make(), placements(50, 5)
    simulated = simulate(platform, [[chain(traffic, gpu)] for gpu in gpus])
    fair = [fair_price(oversubscribed(), traffic, gpu).exposed_ms / 1e3 for gpu in gpus]
    slowest = [predict(oversubscribed(), traffic, gpu).exposed_ms / 1e3 for gpu in gpus]
    agree(f"axes in turn, {make.__name__}, fair sharing", simulated, fair, PHASES)
    agree(f"axes in turn, {make.__name__}, slowest links", simulated, slowest, PHASES)
    tau = order(simulated, fair), order(simulated, slowest)
    print(f"order of 50, {make.__name__}: Kendall tau {tau[0]:.3f} by fair sharing, {tau[1]:.3f} by slowest links")
    assert tau[0] >= ORDER
    assert tau[1] >= ORDER_OF_SLOWEST_LINKS


def one_axis(
    ranks: int, src: IntArray, dst: IntArray, size_bytes: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Traffic:
    ends = src.astype(np.int32), dst.astype(np.int32)
    return Traffic(ranks, ("a",), *ends, size_bytes, np.zeros(len(src), np.int8), np.ones(1), np.zeros(1))


def test_a_ring_step_by_step(platform: Path) -> None:
    """The price takes a ring's bytes at once; NCCL sends them in n - 1 steps, each waiting for the one before."""
    rails = np.arange(HOSTS * GPUS).reshape(HOSTS, GPUS).T  # a ring on each rail over all hosts
    flows, steps = rail_ring(rails, 1.5e9, GPUS), HOSTS - 1
    whole = one_axis(HOSTS * GPUS, flows.src, flows.dst, flows.bytes)
    step = replace(whole, bytes=whole.bytes / steps)
    gpus = placements(3, 4)
    simulated = simulate(platform, [[chain(step, gpu) * steps] for gpu in gpus])
    agree(
        f"ring of {steps} steps",
        simulated,
        [predict(oversubscribed(), whole, gpu).exposed_ms / 1e3 for gpu in gpus],
        PHASES,
    )


def test_the_judge_can_disagree(platform: Path) -> None:
    """All-to-all of half the bytes is half the time: a judge that agreed with anything would not see it."""
    flows = all_to_all(np.arange(16).reshape(1, 16), 1e9)
    whole = one_axis(16, flows.src, flows.dst, flows.bytes)
    gpu = np.concatenate([np.arange(8), np.arange(64, 72)])
    simulated = simulate(platform, [[chain(whole, gpu)]])
    half = fair_price(oversubscribed(), replace(whole, bytes=whole.bytes / 2), gpu)
    assert worst(simulated, [half.exposed_ms / 1e3]) > 0.05
