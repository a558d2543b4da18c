"""An independent price: flows routed by arithmetic on host numbers, queue pairs hashed by drawing lots.

Shares no code with topoplan's cost model; knows only the fabrics of `cases`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.benchmarks.cases import GPUS, LEAF_LINKS, LEAVES, NIC, NVLINK, POD_LINKS
from topoplan.model.traffic import Traffic

Ints = npt.NDArray[np.int64]
DRAWS, PAIRS = 64, 4


def price(traffic: Traffic, leaf: Ints, host: Ints, gpu: Ints, *, hashed: bool, seed: int = 5) -> dict[str, float]:
    """exposed_ms (mean over draws), hop_bytes, and the busiest uplink in ms of a placement.

    Parameters
    ----------
    leaf
        [hosts] leaf of each host; pods are 8 consecutive leaves.
    host, gpu
        [ranks] host and local GPU of each rank.
    """
    pod = leaf // LEAVES
    rng = np.random.default_rng(seed)
    exposed, hops = 0.0, 0.0
    uplinks: dict[str, npt.NDArray[np.float64]] = {}
    for axis, share in enumerate(traffic.exposure):
        of = traffic.axis == axis
        s, d, size = traffic.src[of], traffic.dst[of], traffic.bytes[of]
        a, b, rail = host[s], host[d], gpu[d]
        out = a != b
        near = [np.bincount(end[~out], size[~out], 1).max(initial=0) / NVLINK for end in (s, d)]
        near += [np.bincount((end * GPUS + rail)[out], size[out], 1).max(initial=0) / NIC for end in (a, b)]
        floor = max(near)
        crossing = []
        for name, group, links in (("leaf", leaf, int(LEAF_LINKS)), ("pod", pod, int(POD_LINKS))):
            over = out & (group[a] != group[b])
            for way, end in (("up", a), ("down", b)):
                port = group[end[over]] * GPUS + rail[over]
                load = np.bincount(port, size[over], (int(group.max()) + 1) * GPUS)
                uplinks[name + way] = uplinks.get(name + way, 0) + load / (links * NIC)
                crossing.append((port, size[over], links))
        exposed += share * np.mean([_slowest(crossing, floor, rng, hashed) for _ in range(DRAWS if hashed else 1)])
        distance = np.where(leaf[a] == leaf[b], 10, np.where(pod[a] == pod[b], 20, 40))
        hops += float((size * distance)[out].sum())
    busiest = max((float(load.max()) for load in uplinks.values()), default=0.0)
    return {"exposed_ms": 1e3 * float(exposed), "hop_bytes": hops, "uplink_ms": 1e3 * busiest}


def _slowest(
    crossing: list[tuple[Ints, npt.NDArray[np.float64], int]], floor: float, rng: np.random.Generator, hashed: bool
) -> float:
    worst = floor
    for port, size, links in crossing:
        if not len(port):
            continue
        if hashed:
            link = np.repeat(port, PAIRS) * links + rng.integers(0, links, len(port) * PAIRS)
            worst = max(worst, np.bincount(link, np.repeat(size / PAIRS, PAIRS)).max() / NIC)
        else:
            worst = max(worst, np.bincount(port, size).max() / (links * NIC))
    return float(worst)
