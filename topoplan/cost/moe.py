"""Where the tokens of one MoE layer go, under the rule by which an engine chooses among an expert's copies.

Rules, as engines have them:

even      every copy alike, by hashing or at random (vLLM, SGLang's dynamic dispatch, TensorRT-LLM)
nearest   copies on the source's own GPU, else those on its host, else all; alike among those (SGLang's locality rule,
          which takes the first of several on a host: expert_location.py, _find_nearest_expert)
weights   shares of the plan, for all sources or for each source host
slot      one copy for each source rank (SGLang's static dispatch, vllm-ascend)

Choices of copies are independent between a token's experts, as engines make them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray

RULES = ("even", "nearest", "weights", "slot")
NEVER = -60.0  # log of a probability that is zero: exp(-60) is below float64's rounding of 1
CHUNK = 2**22  # visits worked on at once: 32 MB


@dataclass(frozen=True, eq=False)
class Spread:
    """How sources spread an expert's tokens over slots, in one layer.

    Parameters
    ----------
    share
        [classes, slots] float64; over the slots of an expert it sums to 1.
    source
        [gpus] int64 class of each source GPU.
    """

    share: FloatArray
    source: IntArray


@dataclass(frozen=True, eq=False)
class Visits:
    """What GPUs send to each other for one token of the batch, on average over all tokens.

    Parameters
    ----------
    copies
        [gpus, gpus] float64 expert choices of tokens on GPU g that are served on GPU d; all sum to top_k.
    gpu
        [gpus, gpus] float64 probability that a token is on GPU g and visits GPU d.
    domain
        [gpus, domains] float64 the same for NVLink domains.
    host
        [gpus, hosts] float64 the same for hosts.
    """

    copies: FloatArray
    gpu: FloatArray
    domain: FloatArray
    host: FloatArray


@dataclass(frozen=True, eq=False)
class Where:
    """Host and NVLink domain of each GPU of an expert-parallel group.

    Parameters
    ----------
    host, domain
        [gpus] int64, numbered from 0.
    """

    host: IntArray
    domain: IntArray

    @property
    def gpus(self) -> int:
        """Number of GPUs."""
        return len(self.host)

    def target(self, what: str) -> FloatArray:
        """[gpus, parts] float64 1 where a GPU is in a part; `what` is gpu, domain or host."""
        part = np.arange(self.gpus) if what == "gpu" else self.domain if what == "domain" else self.host
        return np.eye(int(part.max()) + 1)[part]


def spread(placement: ExpertPlacement, layer: int, rule: str, host: IntArray) -> Spread:
    """How a rule spreads the tokens of a layer.

    Parameters
    ----------
    host
        [gpus] int64 host of each GPU.

    Raises
    ------
    InputError
        The placement does not have what the rule needs, or there is no such rule.
    """
    p2l = placement.physical_to_logical_map[layer]
    one, none = np.zeros(placement.gpus, np.int64), np.zeros(0)
    if rule == "even":
        return Spread(_normed((p2l >= 0).astype(np.float64)[None], p2l, placement.experts), one)
    if rule == "nearest":
        weight = _nearest(p2l, placement.slot_gpu, host, placement.experts)
        return Spread(_normed(weight, p2l, placement.experts), np.arange(placement.gpus))
    if rule == "weights":
        weight = placement.dispatch if placement.dispatch is not None else none
        if not weight.size:
            raise InputError("the placement has no dispatch weights")
        here = weight[:, layer] if weight.ndim == 3 else weight[None, layer]
        return Spread(_normed(here * (p2l >= 0), p2l, placement.experts), host if len(here) > 1 else one)
    if rule != "slot" or placement.dispatch_slot is None:
        raise InputError(f"the placement has nothing for dispatch rule {rule!r}; rules are {', '.join(RULES)}")
    chosen = placement.dispatch_slot[:, layer]
    share = np.zeros((len(chosen), placement.slots))
    np.put_along_axis(share, chosen, 1.0, 1)
    return Spread(share, np.arange(placement.gpus) % len(chosen))


def _normed(weight: FloatArray, p2l: IntArray, experts: int) -> FloatArray:
    """Weights [classes, slots] divided by their sum over each expert's slots."""
    total = weight @ _slots_of(p2l, experts)
    return np.asarray(np.where(p2l >= 0, weight / total[:, np.maximum(p2l, 0)], 0.0), np.float64)


def _slots_of(p2l: IntArray, experts: int) -> FloatArray:
    """[slots, experts] float64 1 where a slot holds an expert."""
    return np.asarray((p2l[:, None] == np.arange(experts)).astype(np.float64))


def _nearest(p2l: IntArray, slot_gpu: IntArray, host: IntArray, experts: int) -> FloatArray:
    """[gpus, slots] float64 1 for the copies that each source GPU chooses among."""
    used = p2l >= 0
    own = (slot_gpu == np.arange(len(host))[:, None]) & used
    near = (host[slot_gpu] == host[:, None]) & used
    holds = _slots_of(p2l, experts)
    has_own, has_near = (own @ holds)[:, p2l] > 0, (near @ holds)[:, p2l] > 0
    return np.where(has_own, own, np.where(has_near, near, used)).astype(np.float64)


def part_shares(how: Spread, kind: int, placement: ExpertPlacement, layer: int, where: Where) -> dict[str, FloatArray]:
    """Probability that a choice of an expert by a source of one class is served in each part.

    Returns
    -------
    shares
        "gpu" [experts, gpus], "domain" [experts, domains] and "host" [experts, hosts], float64.
    """
    p2l, shape = placement.physical_to_logical_map[layer], (placement.experts, where.gpus)
    key = np.maximum(p2l, 0) * where.gpus + placement.slot_gpu
    gpu = np.bincount(key, np.where(p2l >= 0, how.share[kind], 0.0), shape[0] * shape[1]).reshape(shape)
    gpu = np.minimum(gpu, 1.0)
    return {"gpu": gpu, **{what: np.minimum(gpu @ where.target(what), 1.0) for what in ("domain", "host")}}


def traced_visits(
    placement: ExpertPlacement, layer: int, rule: str, where: Where, expert_ids: IntArray, source: IntArray
) -> Visits:
    """Visits of the tokens of a trace.

    Parameters
    ----------
    expert_ids
        [tokens, top_k] int64 experts that each token chose in this layer.
    source
        [tokens] int64 GPU of each token.
    """
    how = spread(placement, layer, rule, where.host)
    order = np.argsort(how.source[source], kind="stable")
    ends = np.searchsorted(how.source[source][order], np.arange(len(how.share) + 1))
    copies = np.zeros((where.gpus, where.gpus))
    total: dict[str, FloatArray] = {}
    for kind in range(len(how.share)):
        mine = order[ends[kind] : ends[kind + 1]]
        if not mine.size:
            continue
        shares = part_shares(how, kind, placement, layer, where)
        chosen = expert_ids[mine]
        key = source[mine, None] * placement.experts + chosen
        fired = np.bincount(key.ravel(), minlength=where.gpus * placement.experts)
        copies += fired.reshape(where.gpus, -1) @ shares["gpu"]
        for what, share in shares.items():
            part = total.setdefault(what, np.zeros((where.gpus, share.shape[1])))
            _add_visited(part, share, chosen, source[mine])
    tokens = len(source)
    return Visits(copies / tokens, *(total[what] / tokens for what in ("gpu", "domain", "host")))


def _add_visited(total: FloatArray, share: FloatArray, expert_ids: IntArray, source: IntArray) -> None:
    """Add the expected tokens of each source GPU that visit each part to `total` [gpus, parts].

    Parameters
    ----------
    share
        [experts, parts] float64 probability that a choice of an expert is served in a part.
    """
    with np.errstate(divide="ignore"):  # log(0) where an expert is always served in a part
        missed = np.maximum(np.log1p(-share), NEVER)
    step = max(1, CHUNK // share.shape[1])
    for at in range(0, len(source), step):
        some, start = expert_ids[at : at + step], source[at : at + step]
        order = np.argsort(start, kind="stable")
        total_missed = missed.take(some[order, 0], axis=0)
        for column in some[order].T[1:]:
            total_missed += missed.take(column, axis=0)
        gpus, first = np.unique(start[order], return_index=True)
        total[gpus] += np.add.reduceat(-np.expm1(total_missed), first, axis=0)


def gpu_share(visits: Visits) -> FloatArray:
    """[gpus] float64 expert choices that each GPU serves for one token of the batch; all sum to top_k."""
    return np.asarray(visits.copies.sum(0), np.float64)


def remote_hosts(visits: Visits, host: IntArray) -> float:
    """Hosts other than its own that a token visits, expected."""
    return float(visits.host.sum() - visits.host[np.arange(len(host)), host].sum())
