"""Floors of exposed time that uplinks set: flows must leave groups, whichever blocks these hold.

Taken axis by axis, each as if it were alone. Whatever n blocks are in a group, the axis sends at least the profile of
its own block graph (`boundary`) between them and the others, half of it up or half of it down the group's uplink.

Hashed flows collide besides. Of all ways to share out what crosses a tier over uplinks that are alike, an even one
collides least: the logarithm of P(binomial(m, p) <= k) is concave in m, being the survival function of a negative
binomial count, whose distribution is log-concave; so the probability that all links are done in time is largest there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.calibration import QUEUE_PAIRS
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.traffic import Traffic
from topoplan.solvers.ranks.bounds.bound import least_cut
from topoplan.solvers.ranks.bounds.boundary import Graph, Profiles

SAFE = 1 - 1e-7  # prices are sums of floating point numbers
ALIKE = 1e-9  # flows that differ by a smaller share have one size, as where they are priced


@dataclass(frozen=True, slots=True)
class Crossing:
    """What an axis must send over the uplinks of a tier.

    Parameters
    ----------
    spread_s
        Seconds that takes at least, spread perfectly.
    flows
        Flows on each uplink, on average; 0 where they are not hashed, or flows or uplinks are not alike.
    links, uplinks
        Links of an uplink, and uplinks of the tier, up and down counted apart.
    step_s
        Seconds that one queue pair of a flow takes on a link.
    """

    spread_s: float
    flows: float = 0.0
    links: float = 1.0
    uplinks: int = 0
    step_s: float = 0.0

    def seconds(self, near_s: float) -> float:
        """Least expected seconds of an axis whose NVLinks and NICs take `near_s`."""
        hashed = hashed_s(self.flows, self.links, self.uplinks, self.step_s, near_s) if self.flows > 0 else 0.0
        return max(near_s, SAFE * max(self.spread_s, hashed))


def crossings(fabric: Fabric, traffic: Traffic, block: IntArray, hosts: IntArray) -> list[list[Crossing]]:
    """Of each axis and tier, what any placement of blocks on `hosts` ([hosts] int64) sends over uplinks.

    Parameters
    ----------
    block
        [ranks] int64 block of each rank; a host takes one. Nothing is claimed where islands are wider than hosts, or
        hosts are not each in one group of one plane: there other uplinks may be used.
    """
    tiers = _tiers(fabric, hosts)
    used = int(block.max(initial=0)) + 1
    found: list[list[Crossing]] = []
    for flows in traffic.by_axis:
        src, dst = block[traffic.src[flows]], block[traffic.dst[flows]]
        cross = src != dst
        size = traffic.bytes[flows][cross]
        if not tiers or not len(size):
            found.append([])
            continue
        low, high = np.minimum(src, dst)[cross], np.maximum(src, dst)[cross]
        key, where = np.unique(low * used + high, return_inverse=True)
        weight = np.asarray(np.bincount(where, size, len(key)), float)
        graph = Graph(used, key // used, key % used, weight, np.ones(len(key), np.int64))
        profile = Profiles(min(used, max(int(held.max()) for _, held in tiers))).of(graph)
        alike = float(size[0]) if size.max() - size.min() <= ALIKE * size.max() else 0.0
        found.append([_crossing(fabric, groups, held, profile, used, alike) for groups, held in tiers])
    return found


def uplink_floors(found: list[list[Crossing]], near_s: FloatArray) -> FloatArray:
    """[axes] float64 least seconds of each axis whose NVLinks and NICs take `near_s` [axes]."""
    pairs = zip(found, near_s.tolist(), strict=True)
    return np.array([max([near, *(c.seconds(near) for c in tiers)]) for tiers, near in pairs])


def _tiers(fabric: Fabric, hosts: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Groups of each tier that has several, and how many of `hosts` are in each."""
    if fabric.islands or fabric.planes != 1 or not fabric.groups:
        return []
    port = fabric.port_group[0].reshape(-1, fabric.rails)[hosts]
    live = fabric.port_bandwidth.reshape(-1, fabric.rails)[hosts] > 0
    if (live & (port != fabric.host_group[hosts][:, None])).any():
        return []
    result = []
    for ancestors in fabric.host_ancestor:
        groups, held = np.unique(ancestors[hosts], return_counts=True)
        if len(groups) > 1 and groups[0] >= 0:
            result.append((np.asarray(groups, np.int64), np.asarray(held, np.int64)))
    return result


def _crossing(
    fabric: Fabric, groups: IntArray, held: IntArray, profile: FloatArray, used: int, flow_bytes: float
) -> Crossing:
    """Of an axis with this profile, on the uplinks of `groups`; `flow_bytes` 0 for flows of several sizes."""
    rails = fabric.rails
    links, bandwidth = (x.reshape(-1, rails)[groups] for x in (fabric.uplink_links, fabric.uplink_link_bandwidth))
    spread = spread_s(profile, held, (links * bandwidth).sum(1), used)
    there = np.arange(rails)[None, :] < fabric.group_rails[groups][:, None]
    link, speed = np.unique(links[there]), np.unique(bandwidth[there])
    bundled = bool((fabric.rail_bundle != np.arange(rails)).any())
    alike = len(link) == len(speed) == 1 and link[0] * speed[0] * flow_bytes > 0
    if fabric.routing == "adaptive" or bundled or not alike:
        return Crossing(spread)
    uplinks = 2 * int(there.sum())
    flows = 2 * least_cut(profile, held, used) / flow_bytes / uplinks
    return Crossing(spread, flows, float(link[0]), uplinks, flow_bytes / QUEUE_PAIRS / float(speed[0]))


def spread_s(profile: FloatArray, held: IntArray, capacity: FloatArray, used: int) -> float:
    """Least time in which groups that hold at most `held` blocks, `used` together, can send what they must.

    Parameters
    ----------
    profile
        [blocks + 1] float64 least bytes, both ways together, between so many blocks and the others.
    capacity
        [groups] float64 bytes/s of a group's uplinks, one way, spread perfectly.
    """
    most = np.minimum(held, used)
    blocks = np.concatenate([np.arange(n + 1) for n in most])
    group = np.repeat(np.arange(len(most)), most + 1)
    room = 2 * capacity[group]
    # a busier direction carries at least half; without capacity nothing may leave
    seconds = np.divide(profile[blocks], room, out=np.where(profile[blocks] > 0, np.inf, 0.0), where=room > 0)
    # the more time, the more blocks fit: take times in turn until all blocks have a place
    order = np.lexsort((blocks, seconds))
    fits, total = np.zeros(len(most), np.int64), 0
    for i in order.tolist():
        more = int(blocks[i]) - int(fits[group[i]])
        if more > 0:
            fits[group[i]] += more
            total += more
        if total >= used:
            return float(seconds[i])
    return 0.0  # the blocks do not fit at all: nothing to bound


def hashed_s(flows: float, links: float, uplinks: int, step_s: float, near_s: float) -> float:
    """Least expected seconds of the slowest link when uplinks carry `flows` flows on average, hashed onto their links.

    Parameters
    ----------
    step_s
        Seconds that one queue pair takes on a link.
    near_s
        Seconds that other links take at least.
    """
    from scipy.special import bdtrc  # noqa: PLC0415 - slow to import

    whole, first = int(flows), int(near_s / step_s + 1e-9)
    mean = QUEUE_PAIRS * (flows + 1) / links
    k = np.arange(first, int(mean + 10 * np.sqrt(mean) + 10))  # beyond it nothing is left to add
    if not len(k):
        return near_s
    log = []
    for pairs in (QUEUE_PAIRS * whole, QUEUE_PAIRS * (whole + 1)):
        with np.errstate(divide="ignore"):
            log.append(np.log1p(-bdtrc(np.minimum(k, pairs), pairs, 1 / links)))
    share = flows - whole  # of the uplinks that carry one flow more
    done = np.exp(links * uplinks * ((1 - share) * log[0] + share * log[1] if share else log[0]))
    wait = np.diff(np.append(np.maximum(k * step_s, near_s), (k[-1] + 1) * step_s))
    return near_s + float(((1 - done) * wait).sum())
