"""Fewest bytes that can leave any n blocks of a contracted job: the edge-isoperimetric profile, bounded from below.

What is used is true of every weighted graph; the structure of parallel training makes it sharp.

- Degrees: of n blocks each has at most n - 1 neighbours among the others, at best its heaviest ones (exact for
  cliques).
- Connected: some edge leaves every proper subset, and two edges where the graph is a ring.
- Parts that are not connected: their profiles combine by min-plus convolution, which is exact.
- Cells: cut the vertices into cells of equal size. A subset with x blocks in one cell and y in another cuts at least
  |x - y| edges of each perfect matching between the two, and inside each cell at least that cell's own profile. The
  least sum over all ways to spread n blocks over a chain or ring of cells is a dynamic program. Rings as cells on a
  pipeline give nested arcs, cliques on a ring of expert groups on a pipeline give the profile of a mixture of experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.ranks.bounds.chains import best_chain, join, matched_weight
from topoplan.solvers.ranks.steering.blocks import Blocks

MAX_DEPTH = 4  # cells inside cells; training layouts have no more axes above a host
MAX_WEIGHTS = 4  # distinct edge weights that cells are tried with where axes do not tell
MAX_DEGREE_WORK = 50_000_000  # vertices x degree beyond which the bound by degrees is left out


@dataclass(frozen=True, eq=False)
class Graph:
    """Undirected graph without parallel edges.

    Parameters
    ----------
    count
        Number of vertices.
    u, v
        [edges] int64 ends, u < v, sorted by u then v.
    weight
        [edges] float64 bytes, both directions together.
    axes
        [edges] int64 bit set of the traffic axes that have flows on the edge.
    """

    count: int
    u: IntArray
    v: IntArray
    weight: FloatArray
    axes: IntArray

    @classmethod
    def of(cls, blocks: Blocks, scale: dict[int, float] | None = None) -> Graph:
        """Graph of a contracted job, spare hosts left out.

        With `scale` (of axes, by index in the traffic) weights are sums over axes of their scaled queue pairs, good
        for steering; without it they are exact bytes.
        """
        n = blocks.used
        low, high = np.minimum(blocks.src, blocks.dst), np.maximum(blocks.src, blocks.dst)
        key, where = np.unique(low * n + high, return_inverse=True)
        axes, weight = np.zeros(len(key), np.int64), np.zeros(len(key))
        for arcs in blocks.axes:
            at = np.searchsorted(key, np.minimum(arcs.src, arcs.dst) * n + np.maximum(arcs.src, arcs.dst))
            axes[at] |= 1 << min(arcs.index, 62)
            if scale:
                size = (arcs.pairs * arcs.steps).sum(1) * arcs.step_bytes * arcs.rails * scale.get(arcs.index, 1.0)
                weight += np.bincount(at, size, len(key))
        if not scale:
            weight = np.asarray(np.bincount(where, blocks.bytes, len(key)), float)
        return cls(n, key // n, key % n, weight, axes)

    def components(self, edges: IntArray | slice = slice(None)) -> IntArray:
        """[count] int64 connected part of each vertex by some of the edges."""
        ends = (self.u[edges], self.v[edges])
        links = coo_array((np.ones(len(ends[0])), ends), (self.count, self.count))
        return np.asarray(connected_components(links, directed=False)[1], np.int64)

    def parts(self, label: IntArray) -> list[Graph]:
        """Subgraph of each label, 0 .. max; vertices keep their order."""
        labels = int(label.max(initial=-1)) + 1
        order = np.argsort(label, kind="stable")
        first = np.searchsorted(label[order], np.arange(labels + 1))
        place = np.empty(self.count, np.int64)
        place[order] = np.arange(self.count) - first[label[order]]
        inside = np.flatnonzero(label[self.u] == label[self.v])
        owner = label[self.u[inside]]
        by_owner = inside[np.argsort(owner, kind="stable")]
        cut = np.searchsorted(np.sort(owner), np.arange(labels + 1))
        result = []
        for k in range(labels):
            e = by_owner[cut[k] : cut[k + 1]]
            size = int(first[k + 1] - first[k])
            result.append(Graph(size, place[self.u[e]], place[self.v[e]], self.weight[e], self.axes[e]))
        return result

    @property
    def signature(self) -> tuple[int, bytes, bytes, bytes, bytes]:
        """Equal for equal graphs."""
        return self.count, self.u.tobytes(), self.v.tobytes(), self.weight.tobytes(), self.axes.tobytes()


class Profiles:
    """Profiles of graphs, remembered: training jobs repeat the same cell many times."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: dict[tuple[object, ...], FloatArray] = {}

    def of(self, graph: Graph, depth: int = 0) -> FloatArray:
        """[0 .. min(count, limit)] float64: no n vertices of `graph` have less weight of edges leaving them."""
        key = graph.signature
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compute(graph, depth)
        return found

    def _compute(self, graph: Graph, depth: int) -> FloatArray:
        size = min(graph.count, self.limit)
        if not len(graph.u):
            return np.zeros(size + 1)
        label = graph.components()
        if label.max() > 0:
            return join([self.of(part, depth) for part in graph.parts(label)], size)
        best = np.maximum(by_degrees(graph, size), by_connection(graph, size))
        if depth < MAX_DEPTH:
            for cells in _cells(graph):
                best = np.maximum(best, self._by_cells(graph, cells, size, depth))
        return best

    def _by_cells(self, graph: Graph, cells: IntArray, size: int, depth: int) -> FloatArray:
        inside = [self.of(part, depth + 1) for part in graph.parts(cells)]
        return best_chain(inside, matched_weight(cells, graph.u, graph.v, graph.weight), size)


def by_degrees(graph: Graph, size: int) -> FloatArray:
    """Profile by degrees: each of n vertices keeps at most its n - 1 heaviest edges inside."""
    result = np.zeros(size + 1)
    owner = np.concatenate([graph.u, graph.v])
    weight = np.tile(graph.weight, 2)
    order = np.lexsort((-weight, owner))
    owner, weight = owner[order], weight[order]
    degree = np.bincount(owner, minlength=graph.count)
    most = int(degree.max())
    if graph.count * most > MAX_DEGREE_WORK:
        return result
    table = np.zeros((graph.count, most))
    table[owner, np.arange(len(owner)) - np.searchsorted(owner, owner)] = weight
    left = np.cumsum(table[:, ::-1], axis=1)[:, ::-1]  # [vertices, k]: all but the k heaviest
    for n in range(1, min(size, most) + 1):
        least = left[:, n - 1]
        result[n] = least.sum() if n == graph.count else np.partition(least, n - 1)[:n].sum()
    return result


def by_connection(graph: Graph, size: int) -> FloatArray:
    """Profile of a connected graph by its lightest edge, or two of them where it is a ring."""
    result = np.zeros(size + 1)
    degree = np.bincount(np.concatenate([graph.u, graph.v]), minlength=graph.count)
    ring = graph.count > 2 and (degree == 2).all()
    least = np.sort(graph.weight)[: 2 if ring else 1].sum()
    result[1 : min(size, graph.count - 1) + 1] = least
    return result


def _cells(graph: Graph) -> Iterator[IntArray]:
    """Ways to cut a connected graph into cells: by leaving one axis out, or by keeping the heavier edges only."""
    present = int(np.bitwise_or.reduce(graph.axes))
    weights = np.unique(graph.weight)[::-1][:MAX_WEIGHTS]
    ways = [graph.axes & ~np.int64(1 << a) != 0 for a in range(present.bit_length())]
    ways += [graph.weight >= least * (1 - 1e-9) for least in weights]
    seen = set()
    for keep in ways:
        if not keep.any() or keep.all():
            continue
        label = graph.components(np.flatnonzero(keep))
        cells = int(label.max()) + 1
        if 1 < cells < graph.count and label.tobytes() not in seen:
            seen.add(label.tobytes())
            yield label
