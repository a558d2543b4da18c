"""Traffic of a training step against sums worked out by hand."""

import numpy as np
import pytest

from topoplan.errors import InputError
from topoplan.model.compute import Compute
from topoplan.model.demand import traffic_of, visit_probability
from topoplan.model.job import Batch, CustomAxis, CustomCollective, Job, Parallel, Routing, expert_groups, grid_groups
from topoplan.model.presets import PRESETS
from topoplan.model.traffic import Traffic

# from the models' reports: total parameters in billions
TOTALS = {
    "llama-3.1-405b": 405.8,
    "gpt-3-175b": 174.6,
    "mixtral-8x22b": 140.6,
    "qwen3-235b-a22b": 235.1,
    "deepseek-v3": 671.0,
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset_has_the_published_number_of_parameters(name: str) -> None:
    assert PRESETS[name].parameters / 1e9 == pytest.approx(TOTALS[name], rel=2e-3)
    assert PRESETS[name].source


def test_order_of_ranks_is_megatrons() -> None:
    # tp 2, dp 2, pp 2: Megatron-core's documented example of tp-cp-ep-dp-pp
    sizes = {"tp": 2, "dp": 2, "pp": 2}
    assert grid_groups("tp-cp-ep-dp-pp", sizes, "dp").tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert grid_groups("tp-cp-ep-dp-pp", sizes, "pp").tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert grid_groups("tp-cp-ep-pp-dp", sizes, "dp").tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_expert_grid_is_separate() -> None:
    job = Job("j", 16, parallel=Parallel(tp=2, dp=4, pp=2, ep=4))
    assert expert_groups(job, "ep").tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert expert_groups(job, "edp").tolist()[0] == [0, 4]


def _dense(**sizes: int) -> Traffic:
    model = PRESETS["gpt-3-175b"]
    parallel = Parallel(**sizes)
    job = Job("j", parallel.world, model, parallel, batch=Batch(2048, 1, 4))
    stages = np.linspace(0, model.layers, parallel.pp + 1).astype(int)
    return traffic_of(job, tuple(stages.tolist()), 8)


def test_tensor_parallel_bytes() -> None:
    traffic = _dense(tp=8)
    # 96 layers x 4 micro-batches x 4 gather/scatter pairs x 2 (7/8) x 2048 x 12288 x 2 bytes
    expected = 96 * 4 * 4 * 2 * 7 / 8 * 2048 * 12288 * 2
    sent = np.bincount(traffic.src, traffic.bytes, 8)
    assert traffic.axes == ("tp",)
    assert np.allclose(sent, expected)


@pytest.mark.parametrize(
    ("sizes", "compute", "calls"),
    [
        ({"dp": 16}, None, 2 * 4365),  # 174.6 billion weights, 40 million a bucket
        ({"dp": 64}, None, 2 * 2729),  # 64 million a bucket
        ({"dp": 16}, Compute(), 2 * 4365),
        ({"dp": 16}, Compute(overlap=()), 2),  # nothing to overlap: all at once
        ({"dp": 16, "tp": 8, "pp": 2}, None, 2 * 274),  # (48 x 12 x 12,288^2 + 50,257 x 12,288) / 8
        ({"dp": 16, "pp": 2, "vpp": 2}, None, 2 * (1 + 1095)),  # buckets in the first of two virtual stages
    ],
)
def test_gradients_go_in_megatrons_buckets(sizes: dict[str, int], compute: Compute | None, calls: float) -> None:
    model, parallel = PRESETS["gpt-3-175b"], Parallel(**sizes)
    job = Job("j", parallel.world, model, parallel, batch=Batch(2048, 1, 4), compute=compute)
    stages = np.linspace(0, model.layers, parallel.pp * parallel.vpp + 1).astype(int)
    traffic = traffic_of(job, tuple(stages.tolist()), 8)
    (part,) = (part for part in traffic.collectives if part.axis == "dp")
    n = parallel.dp
    assert part.calls == pytest.approx(calls, abs=2 * 3)  # comments round
    assert part.calls * part.call_bytes * (n - 1) / n == pytest.approx(part.size_bytes)
    assert part.messages == 2 * (n - 1)


def test_without_zero_gradients_are_reduced_to_all() -> None:
    traffic = _dense(dp=16, zero=0)
    (part,) = traffic.collectives
    assert part.op == "all_reduce"
    weights = part.size_bytes / (8 * 15 / 16)
    assert part.calls == pytest.approx(weights / 40e6, abs=1)
    assert part.calls * part.call_bytes == pytest.approx(4 * weights)  # FP32
    (scattered,), (twice,) = (_dense(dp=16, zero=zero).collectives for zero in (1, 3))
    assert (scattered.op, twice.op) == ("reduce_scatter", "reduce_scatter")
    assert 2 * twice.calls == 3 * scattered.calls == 6 * part.calls
    assert part.messages == scattered.messages == twice.messages


def test_later_pipeline_ranks_reduce_a_stage_at_a_time() -> None:
    model, parallel = PRESETS["gpt-3-175b"], Parallel(dp=4, pp=2, vpp=2)
    job = Job("j", 8, model, parallel, batch=Batch(2048, 1, 4))
    traffic = traffic_of(job, (0, 4, 44, 52, 96), 8)  # the second rank has most
    (part,) = (part for part in traffic.collectives if part.axis == "dp")
    assert part.calls == 4  # two virtual stages, gradients and weights


def test_data_parallel_bytes_and_rails() -> None:
    traffic = _dense(dp=16)
    dp = traffic.by_axis[traffic.axes.index("dp")]
    weights = PRESETS["gpt-3-175b"].parameters + PRESETS["gpt-3-175b"].embedding_weights * 0
    whole = 6 * weights * 15 / 16
    across = traffic.src[dp] // 8 != traffic.dst[dp] // 8
    # each of eight members of a host sends an eighth of the ring to its like on the other host
    assert np.allclose(traffic.bytes[dp][across], whole / 8)
    assert (traffic.src[dp][across] % 8 == traffic.dst[dp][across] % 8).all()
    assert across.sum() == 16


def test_pipeline_neighbours_talk_both_ways() -> None:
    traffic = _dense(pp=4)
    pairs = set(zip(traffic.src.tolist(), traffic.dst.tolist(), strict=True))
    assert pairs == {(0, 1), (1, 2), (2, 3), (1, 0), (2, 1), (3, 2)}
    assert np.allclose(traffic.bytes, 4 * 2048 * 12288 * 2)


def test_expert_dispatch_crosses_hosts_once_on_the_same_rail() -> None:
    model = PRESETS["deepseek-v3"]
    job = Job("j", 32, model, Parallel(dp=32, ep=32), batch=Batch(4096, 1, 1))
    traffic = traffic_of(job, (0, 61), 8)
    ep = traffic.by_axis[traffic.axes.index("ep")]
    src, dst = traffic.src[ep], traffic.dst[ep]
    across = src // 8 != dst // 8
    assert (src[across] % 8 == dst[across] % 8).all()
    assert model.routing is not None
    visited = visit_probability(model.routing, 4)
    token = 2 * 7168 * (1 + 4 / 128 + 2)
    assert np.allclose(traffic.bytes[ep][across], 58 * 4096 * token * visited)


@pytest.mark.parametrize("parts", [4, 8, 32, 64])
def test_visit_probability_agrees_with_simulation(parts: int) -> None:
    routing = Routing(256, 8, 8, 4)
    rng = np.random.default_rng(3)
    tokens = 20_000
    group = np.argsort(rng.random((tokens, 8)), 1)[:, :4]
    allowed = (group[:, :, None] * 32 + np.arange(32)).reshape(tokens, -1)
    chosen = np.take_along_axis(allowed, np.argsort(rng.random(allowed.shape), 1)[:, :8], 1)
    seen = np.mean([(chosen // (256 // parts) == part).any(1).mean() for part in range(parts)])
    assert visit_probability(routing, parts) == pytest.approx(seen, abs=0.005)


def test_custom_axes() -> None:
    axes = (
        CustomAxis("tp", 2, (CustomCollective("all_reduce", 100.0, 3),)),
        CustomAxis("dp", 4, (CustomCollective("all_to_all", 40.0, overlap=0.75),)),
    )
    traffic = traffic_of(Job("j", 8, axes=axes), (), 8)
    tp, dp = traffic.by_axis
    assert np.allclose(traffic.bytes[tp], 300.0)  # 2 (2 - 1) / 2 x 100 x 3
    assert np.allclose(traffic.bytes[dp], 10.0)
    assert traffic.exposure.tolist() == [1.0, 0.25]


def test_exposure_of_an_unknown_axis_is_refused() -> None:
    job = Job("j", 8, PRESETS["gpt-3-175b"], Parallel(dp=8), batch=Batch(2048), exposure={"ddp": 0.5})
    with pytest.raises(InputError, match="ddp"):
        traffic_of(job, (0, 96), 8)


def test_ep_must_divide_the_experts() -> None:
    job = Job("j", 24, PRESETS["mixtral-8x22b"], Parallel(dp=24, ep=3), batch=Batch(4096))
    with pytest.raises(InputError, match="ep 3 does not divide 8 experts"):
        traffic_of(job, (0, 56), 8)


def test_an_incomplete_job_says_what_it_needs() -> None:
    with pytest.raises(InputError, match="model"):
        traffic_of(Job("j", 8), (), 8)
