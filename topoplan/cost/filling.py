"""When flows that start together end, if links are shared fairly: max-min fair rates, filled progressively.

The price of a placement is the bytes of its busiest link over its capacity: no flow can end later than that on links
that are busy to the end. Flows that first share an uplink with others and are then held up by their own NIC do end
later; this follows each to its end. Source of the rates: Bertsekas and Gallager, Data Networks (1992), section 6.5.2.

Flows that cross like links with like flows have like rates, always: only one of each kind is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.cost.alike import alike
from topoplan.cost.routes import Routes
from topoplan.errors import LimitError
from topoplan.model.fabric import Fabric, FloatArray, IntArray

_SAME = 1e-9  # relative difference of times and rates that count as equal
MOST_WORK = 2_000_000_000  # crossings and links looked at; assumed: a quarter of a minute of one processor


def finish_seconds(routes: Routes, size_bytes: FloatArray, most_work: int = MOST_WORK) -> FloatArray:
    """[flows] float64 seconds until each flow ends when all start together; uplinks spread perfectly, no latency.

    Planes carry equal parts of a flow, which ends with the last of them. A part that has to cross a link without
    capacity never ends (infinite), and takes nothing from the others.

    Parameters
    ----------
    size_bytes
        [flows] float64.

    Raises
    ------
    LimitError
        Too many unlike flows to follow each within `most_work`.
    """
    found = _crossings(routes, size_bytes)
    ends = fill(found.piece, found.link, found.size_bytes, found.capacity, most_work)
    seconds = np.zeros(len(size_bytes))
    np.maximum.at(seconds, found.flow, ends)
    return seconds


def fill(
    flow: IntArray, link: IntArray, size_bytes: FloatArray, capacity: FloatArray, most_work: int = MOST_WORK
) -> FloatArray:
    """[flows] float64 seconds until each flow ends; infinite across a link without capacity, 0 without bytes.

    Parameters
    ----------
    flow, link
        [crossings] int64 pairs, each once; a flow with bytes crosses a link at least.
    size_bytes, capacity
        [flows] float64 bytes and [links] float64 bytes/s.

    Raises
    ------
    LimitError
        More than `most_work` crossings and links would have to be looked at.
    """
    ends = np.where(size_bytes > 0, np.inf, 0.0)
    dead = np.zeros(len(ends), bool)
    dead[flow[capacity[link] <= 0]] = True
    live = ~dead[flow] & (size_bytes[flow] > 0)
    flow, link = flow[live], link[live]
    kind, links = alike(flow, link, size_bytes, capacity)
    kinds = _Kinds.of(kind, links, flow, link, size_bytes, capacity)
    here = np.unique(flow)
    ends[here] = kinds.ends(most_work)[kind[here]]
    return ends


@dataclass(frozen=True, eq=False)
class _Crossings:
    """Pieces of flows, one a plane, and the links that each crosses.

    Parameters
    ----------
    flow, size_bytes
        [pieces] int64 flow and float64 bytes of each piece.
    piece, link
        [crossings] int64 pairs.
    capacity
        [links] float64 bytes/s. Links are NVLinks, ports, uplinks; each first out or up, then in or down. The rails
        that GPUs use together are one link.
    """

    flow: IntArray
    size_bytes: FloatArray
    piece: IntArray
    link: IntArray
    capacity: FloatArray


def _crossings(routes: Routes, size_bytes: FloatArray) -> _Crossings:
    fabric, planes = routes.fabric, routes.fabric.planes
    ports, uplinks = fabric.port_bandwidth, fabric.uplink_links * fabric.uplink_link_bandwidth
    capacity = [fabric.gpu_scale_up, _bundled(fabric, ports), _bundled(fabric, uplinks)]
    first = np.cumsum([0, *(2 * len(part) for part in capacity)])
    inside, outside = np.flatnonzero(routes.inside), routes.outside
    number = np.full((planes, len(size_bytes)), -1, np.int64)  # of the piece of each flow in each plane
    number[:, outside] = len(inside) + np.arange(planes * len(outside)).reshape(planes, -1)
    number[0, inside] = np.arange(len(inside))
    piece: list[IntArray] = []
    link: list[IntArray] = []

    def cross(pieces: IntArray, kind: int, out: IntArray, into: IntArray) -> None:
        for direction, index in enumerate((out, into)):
            known = index >= 0
            crossed = index[known] if kind == 0 else _leader(fabric, index[known])
            piece.append(pieces[known])
            link.append(first[kind] + direction * len(capacity[kind]) + crossed)

    cross(number[0, inside], 0, routes.src[inside], routes.dst[inside])
    for plane in range(planes):
        cross(number[plane, outside], 1, routes.out_port[outside], routes.in_port[outside])
    for climb in routes.climbs:
        cross(number[climb.plane, climb.flows], 2, climb.up, climb.down)
    return _Crossings(
        np.concatenate([inside, np.tile(outside, planes)]),
        np.concatenate([size_bytes[inside], np.tile(size_bytes[outside] / planes, planes)]),
        np.concatenate(piece),
        np.concatenate(link),
        np.concatenate([np.tile(part, 2) for part in capacity]),
    )


def _leader(fabric: Fabric, index: IntArray) -> IntArray:
    """Ports or uplinks [n] int64 as the lowest of those that GPUs use together with each."""
    rail = index % fabric.rails
    return np.asarray(index - rail + fabric.rail_bundle[rail], np.int64)


def _bundled(fabric: Fabric, capacity: FloatArray) -> FloatArray:
    """[n] float64 capacity of ports or uplinks, that of a bundle on its lowest."""
    return np.bincount(_leader(fabric, np.arange(len(capacity))), capacity, len(capacity)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Kinds of flows and links in the place of flows and links.

    Parameters
    ----------
    flow, link
        [pairs] int64 kinds of flows and of links that they cross.
    on_link
        [pairs] float64 flows of the kind on each link of the other.
    size_bytes, capacity
        [kinds] float64 bytes of a flow, bytes/s of a link.
    """

    flow: IntArray
    link: IntArray
    on_link: FloatArray
    size_bytes: FloatArray
    capacity: FloatArray

    @classmethod
    def of(
        cls, flows: IntArray, links: IntArray, flow: IntArray, link: IntArray, size: FloatArray, capacity: FloatArray
    ) -> _Kinds:
        """From kinds of flows [flows] and links [links], and the (flow, link) pairs that are followed."""
        width = int(links.max(initial=0)) + 1
        key, count = np.unique(flows[flow] * width + links[link], return_counts=True)
        members = np.bincount(links, minlength=width)
        size_of = np.zeros(int(flows.max(initial=0)) + 1)
        size_of[flows] = size
        room = np.zeros(width)
        room[links] = capacity
        return cls(key // width, key % width, count / members[key % width], size_of, room)

    def ends(self, most_work: int) -> FloatArray:
        """[kinds of flows] float64 seconds until flows of each kind end; infinite for those that cross no link."""
        flow, link, weight = self.flow, self.link, self.on_link
        left, ends, now, work = self.size_bytes.copy(), np.full(len(self.size_bytes), np.inf), 0.0, 0
        rates = _Rates(np.zeros(len(left)), np.zeros(len(left), np.int64))
        again = 0  # the round from which rates change
        while len(flow):
            work += rates.fill(flow, link, weight, self.capacity, again)
            if work > most_work:
                raise LimitError("too many unlike flows to follow each to its end")
            live = np.unique(flow)
            step = float((left[live] / rates.rate[live]).min())
            now += step
            left[live] -= rates.rate[live] * step
            ended = live[left[live] <= _SAME * self.size_bytes[live]]
            ends[ended] = now
            again = int(rates.round[ended].min())
            keep = np.isinf(ends)[flow]
            flow, link, weight = flow[keep], link[keep], weight[keep]
        return ends


@dataclass(frozen=True, eq=False)
class _Rates:
    """Max-min fair rates of kinds of flows, found in rounds: the links that are full first, then those full next ...

    Parameters
    ----------
    rate, round
        [kinds] float64 bytes/s of a flow of each kind, and int64 round in which it was found; changed by `fill`.
    """

    rate: FloatArray
    round: IntArray

    def fill(self, flow: IntArray, link: IntArray, weight: FloatArray, capacity: FloatArray, first: int) -> int:
        """Find the rates of the flows listed, those of rounds before `first` being known; the work of it.

        A flow that ends leaves the rounds before its own as they were: no link full in them carried it, and other links
        only have more room without it.
        """
        known = self.round[flow] < first
        room = capacity - np.bincount(link[known], weight[known] * self.rate[flow[known]], len(capacity))
        work = len(flow) + len(room)
        flow, link, weight = flow[~known], link[~known], weight[~known]
        number = first
        while len(flow):
            work += len(flow) + len(room)
            count = np.bincount(link, weight, len(room))
            used = np.flatnonzero(count)
            share = room[used] / count[used]
            least = float(share.min())
            full = np.zeros(len(room), bool)
            full[used[share <= least * (1 + _SAME)]] = True
            fixed = np.zeros(len(self.rate), bool)
            fixed[flow[full[link]]] = True
            self.rate[fixed], self.round[fixed] = least, number
            taken = fixed[flow]
            room -= np.bincount(link[taken], weight[taken], len(room)) * least
            flow, link, weight = flow[~taken], link[~taken], weight[~taken]
            number += 1
        return work
