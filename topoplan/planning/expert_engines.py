"""What a placement really gives under the rule by which each engine chooses among copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topoplan.cost.moe import RULES, Visits, gpu_share, remote_hosts, traced_visits
from topoplan.cost.moe_links import Site, busiest, flows, loads
from topoplan.cost.moe_rule import ruled_visits
from topoplan.cost.moe_time import (
    BATCH_TOKENS,
    Rates,
    noise_floor,
    phase_seconds,
    rates,
    shown_balance,
    slowest_expert_seconds,
)
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.job import ModelShape, Routing

MOST_LAYERS = 8  # layers priced on the network, spread evenly over all
MOST_WORK = 5e7  # GPUs x GPUs x experts x layers priced; fewer layers where that is less, two at least

ENGINES = {
    "even": "copies used evenly",
    "nearest": "nearest copy",
    "weights": "dispatch weights",
    "slot": "one copy a source",
}


@dataclass(frozen=True, eq=False)
class Tokens:
    """What is known of the tokens that a placement will serve.

    Parameters
    ----------
    load
        [layers, experts] float64.
    routing
        Rule by which tokens choose, where it is known.
    expert_ids, source
        [layers, tokens, top_k] int16 and [tokens] float64 in [0, 1): a trace, which then takes the rule's place.
    batch
        Tokens of a batch, all GPUs together.
    """

    load: FloatArray
    routing: Routing | None
    batch: int
    expert_ids: npt.NDArray[np.int16] | None = None
    source: FloatArray | None = None

    @property
    def top_k(self) -> int:
        """Experts that a token visits; 0 where that is not known."""
        if self.expert_ids is not None:
            return int(self.expert_ids.shape[2])
        return self.routing.top_k if self.routing is not None else 0


@dataclass(frozen=True, slots=True)
class Engine:
    """Numbers of one rule, means over the layers that were priced; a batch is all GPUs' tokens together.

    Parameters
    ----------
    balance, worst
        Mean / largest GPU of expected loads: mean of layers and the worst one.
    shown
        The balance that a batch of this size shows on average, its own noise included.
    remote_hosts
        Hosts other than its own that a token visits.
    nic_bytes, uplink_bytes, nvlink_bytes
        Of the busiest link of each kind, dispatch and combine of a layer together; None without a model.
    dispatch_ms, expert_ms, combine_ms
        Of a layer; each phase ends with its slowest link or GPU, the experts' with what chance adds to it in a batch.
    """

    rule: str
    balance: float
    worst: float
    shown: float
    remote_hosts: float
    nic_bytes: float | None = None
    uplink_bytes: float | None = None
    nvlink_bytes: float | None = None
    dispatch_ms: float | None = None
    expert_ms: float | None = None
    combine_ms: float | None = None

    @property
    def layer_ms(self) -> float | None:
        """Dispatch, experts and combine of a layer."""
        if self.dispatch_ms is None or self.expert_ms is None or self.combine_ms is None:
            return None
        return self.dispatch_ms + self.expert_ms + self.combine_ms


@dataclass(frozen=True, slots=True)
class Judgement:
    """Rules side by side.

    Parameters
    ----------
    choices
        Expert choices in a batch: tokens x top_k.
    noise_floor
        Balance that a batch shows under a perfectly even plan: more than this cannot be seen, and is not credited.
    source
        "trace" or "rule".
    layers, of
        Layers that were priced, of how many.
    """

    kernel: str
    batch_tokens: int
    choices: float
    noise_floor: float
    source: str
    layers: int
    of: int
    engines: tuple[Engine, ...]
    assumed: tuple[str, ...] = ()


def judge(
    placement: ExpertPlacement,
    site: Site,
    tokens: Tokens,
    model: ModelShape | None,
    kernel: str,
    speed: FloatArray,
    rules: tuple[str, ...] = (),
) -> Judgement:
    """Price a placement under every rule that it can be run with.

    Parameters
    ----------
    speed
        [gpus] float64 relative speed of each GPU.
    rules
        Rules to price; all that the placement has numbers for when empty.
    """
    layers = _sample(placement)
    has = {"weights": placement.dispatch is not None, "slot": placement.dispatch_slot is not None}
    rules = rules or tuple(rule for rule in RULES if has.get(rule, True))
    choices = float(tokens.batch * tokens.top_k)
    return Judgement(
        kernel=kernel,
        batch_tokens=tokens.batch,
        choices=choices,
        noise_floor=noise_floor(choices, len(np.unique(placement.slot_gpu))),
        source="rule" if tokens.expert_ids is None else "trace",
        layers=len(layers),
        of=placement.layers,
        engines=tuple(_engine(rule, layers, placement, site, tokens, model, kernel, speed) for rule in rules),
        assumed=_assumed(model, site),
    )


def default_batch(kernel: str, gpus: int) -> int:
    """Tokens of a batch over all GPUs where nothing else is said."""
    return BATCH_TOKENS[kernel] * gpus


def _sample(placement: ExpertPlacement) -> IntArray:
    """[n] int64 layers to price."""
    most = int(np.clip(MOST_WORK / (placement.gpus**2 * placement.experts), 2, MOST_LAYERS))
    return np.unique(np.linspace(0, placement.layers - 1, min(most, placement.layers)).round().astype(np.int64))


def _visits(rule: str, layer: int, placement: ExpertPlacement, site: Site, tokens: Tokens) -> Visits:
    if tokens.expert_ids is not None and tokens.source is not None:
        gpu = (tokens.source * placement.gpus).astype(np.int64)
        return traced_visits(placement, layer, rule, site.where, tokens.expert_ids[layer].astype(np.int64), gpu)
    assert tokens.routing is not None
    return ruled_visits(placement, layer, rule, site.where, tokens.load[layer], tokens.routing)


def _engine(
    rule: str, layers: IntArray, placement: ExpertPlacement, site: Site, tokens: Tokens, model: ModelShape | None,
    kernel: str, speed: FloatArray,
) -> Engine:  # fmt: skip
    rows, sizes = [], []
    used = np.unique(placement.slot_gpu)
    for layer in map(int, layers):
        visits = _visits(rule, layer, placement, site, tokens)
        time = (gpu_share(visits) / speed)[used]
        shown = shown_balance(time, tokens.batch * tokens.top_k)
        rows.append([time.mean() / time.max(), shown, remote_hosts(visits, site.where.host)])
        if model is not None:
            sizes.append(_sizes(rule, layer, visits, placement, site, tokens, model, kernel, speed))
    balance, shown, remote = np.mean(rows, axis=0).tolist()
    worst = min(row[0] for row in rows)
    return Engine(rule, balance, float(worst), shown, remote, *(np.mean(sizes, axis=0).tolist() if sizes else ()))


def _sizes(
    rule: str, layer: int, visits: Visits, placement: ExpertPlacement, site: Site, tokens: Tokens, model: ModelShape,
    kernel: str, speed: FloatArray,
) -> list[float]:  # fmt: skip
    """Bytes of the busiest NIC, uplink and NVLink, ms of dispatch, experts and combine, of one layer."""
    assert model.routing is not None
    amount = flows(visits, site.where, kernel) * tokens.batch * model.hidden
    out = busiest(site.fabric, loads(site, amount * model.routing.dispatch_bytes, kernel))
    back = busiest(site.fabric, loads(site, amount.T * model.routing.combine_bytes, kernel))
    slot = _slot_tokens(placement, layer, gpu_share(visits) * tokens.batch, tokens.load[layer])
    expert = slowest_expert_seconds(placement, layer, slot, model, _rates(model, site), speed)
    return [
        *(getattr(out, name) + getattr(back, name) for name in ("nic_bytes", "uplink_bytes", "nvlink_bytes")),
        *(1e3 * seconds for seconds in (phase_seconds(out), expert, phase_seconds(back))),
    ]


def _slot_tokens(placement: ExpertPlacement, layer: int, served: FloatArray, load: FloatArray) -> FloatArray:
    """[slots] float64 tokens of each slot: those of its GPU, split as even copies of its experts would be."""
    p2l = placement.physical_to_logical_map[layer]
    weight = np.where(p2l >= 0, load[p2l] * placement.shares(even=True)[layer], 0.0)
    total = np.bincount(placement.slot_gpu, weight, placement.gpus)[placement.slot_gpu]
    return np.asarray(served[placement.slot_gpu] * weight / np.maximum(total, 1e-300), np.float64)


def _rates(model: ModelShape, site: Site) -> Rates:
    kinds = site.fabric.host_types
    return rates(model, kinds[int(site.fabric.host_type[site.fabric.gpu_host[site.gpu[0]]])].flops_per_s)


def _assumed(model: ModelShape | None, site: Site) -> tuple[str, ...]:
    if model is None:
        return ("sizes are not known: name the model (--model) to see bytes and times",)
    kind = site.fabric.host_types[int(site.fabric.host_type[site.fabric.gpu_host[site.gpu[0]]])]
    lines = ["expert compute: 3.35 TB/s of memory, grouped GEMMs at 60 % of the peak in tiles of 128 tokens"]
    if kind.flops_per_s is None:
        lines.append(f"host type {kind.name}: 989 TFLOPS dense BF16 a GPU")
    return tuple(lines)


__all__ = ["ENGINES", "Engine", "Judgement", "Tokens", "default_batch", "judge"]
