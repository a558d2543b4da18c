"""What each algorithm of NCCL sends in a collective.

A call's size is that of nccl-tests: the buffer of an all-reduce, the gathered buffer of an all-gather, the buffer that
a reduce-scatter reduces, what one rank holds for all others in an all-to-all, the message of a point-to-point or of a
rank to the next of a ring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from topoplan.cost.collectives.phases import HandsOver, InNetwork, Multicast, Phase, Sends
from topoplan.errors import InputError
from topoplan.model.fabric import IntArray
from topoplan.model.patterns import Flows, all_to_all, join, rail_ring, ring

OPS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "p2p", "ring")
# Bytes that a rank sends in a ring, as a multiple of (n - 1) / n of the call's size (nccl-tests PERFORMANCE.md).
_TURNS = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}


@dataclass(frozen=True, eq=False)
class Call:
    """A collective that groups of ranks run at the same time.

    Parameters
    ----------
    op
        One of `OPS`.
    groups
        [groups, size] int64 ranks in communication order.
    size_bytes
        Size as nccl-tests has it.
    domain
        Consecutive ranks that share an NVLink domain.

    Raises
    ------
    InputError
        No such op, a size that is not positive, groups of less than two ranks.
    """

    op: str
    groups: IntArray
    size_bytes: float
    domain: int

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise InputError(f"collective {self.op!r} is not one of {', '.join(OPS)}")
        if not 0 < self.size_bytes < float("inf"):
            raise InputError(f"a collective of {self.size_bytes} bytes; give a size above 0")
        if self.groups.ndim != 2 or self.groups.shape[1] < 2 or self.domain < 1:
            raise InputError("a collective needs groups of at least two ranks and domains of at least one")

    @property
    def size(self) -> int:
        """Ranks of a group."""
        return int(self.groups.shape[1])

    @property
    def cells(self) -> IntArray | None:
        """[groups, domains, members] int64 ranks by NVLink domain; None where domains hold unequal or split shares."""
        where = self.groups // self.domain
        members = int((where[0] == where[0, 0]).sum())
        if self.size % members:
            return None
        cells = where.reshape(len(where), -1, members)
        apart = np.diff(np.sort(cells[:, :, 0], axis=1), axis=1) != 0
        return self.groups.reshape(cells.shape) if (cells == cells[:, :, :1]).all() and apart.all() else None


@dataclass(frozen=True, eq=False)
class Schedule:
    """An algorithm's phases.

    Parameters
    ----------
    phases
        Phases whose chunks follow each other, so that all run at once: the slowest link decides.
    order_free
        Why the order of ranks makes no difference to the network; empty where it may.
    """

    algorithm: str
    call: Call
    phases: tuple[Phase, ...]
    order_free: str = ""


def schedules(call: Call, offload: frozenset[str] = frozenset()) -> list[Schedule]:
    """Every algorithm that can run a call.

    Parameters
    ----------
    offload
        What switches do: "nvls" where NVLink switches reduce and multicast (NVLink 4 and later), "sharp" where the
        network's switches reduce.
    """
    found = [make(call) for needs, ops, make in _ALGORITHMS.values() if call.op in ops and needs <= offload]
    return [schedule for schedule in found if schedule is not None]


# ---- one level -------------------------------------------------------------------------------------------------------


def _domains(call: Call) -> int:
    cells = call.cells
    return int(cells.shape[1]) if cells is not None else call.size


def _ring(call: Call) -> Schedule:
    turns, domains = _TURNS[call.op], _domains(call)
    sent = turns * (call.size - 1) / call.size * call.size_bytes
    across = turns * (domains - 1) if domains > 1 else 0
    flows = rail_ring(call.groups, sent, call.domain)
    return Schedule("ring", call, (Sends(flows, "ring", (turns * (call.size - 1) - across, across)),), _inside(call))


def _inside(call: Call) -> str:
    cells = call.cells
    return "all ranks share an NVLink domain" if cells is not None and cells.shape[1] == 1 else ""


def _tree(call: Call) -> Schedule | None:
    cells = call.cells
    if cells is None:
        return None
    _, domains, members = cells.shape
    parts = [tree_flows(cells[:, :, m], call.size_bytes / members) for m in range(members)]
    if members > 1:
        # each channel runs along a chain of all members, up for the sum and down for the result
        chain = (members - 1) / members * call.size_bytes
        flat = cells.reshape(-1, members)
        parts += [ring(flat, chain), ring(flat[:, ::-1], chain)]
    rounds = (2 * (members - 1), 2 * ceil(log2(domains)) if domains > 1 else 0)
    return Schedule("tree", call, (Sends(join(parts), "tree", rounds),), _inside(call))


def tree_flows(groups: IntArray, size_bytes: float) -> Flows:
    """Flows of a double binary tree: each tree sums one half up to its root and sends the result down.

    Leaves of one tree are inner nodes of the other (Sanders, Speck and Traeff 2009, Two-tree algorithms for full
    bandwidth broadcast, reduction and scan); the second is the first mirrored, or shifted by one for odd sizes, as in
    NCCL's src/graph/trees.cc.
    """
    size = groups.shape[1]
    node = np.arange(1, size)
    up = parents(size)
    other = (size - 1 - node, size - 1 - up) if size % 2 == 0 else ((node + 1) % size, (up + 1) % size)
    parts = []
    for child, parent in ((node, up), other):
        a, b = groups[:, child].ravel(), groups[:, parent].ravel()
        half = np.full(len(a), size_bytes / 2)
        parts += [Flows(a, b, half), Flows(b, a, half)]
    return join(parts)


def parents(size: int) -> IntArray:
    """[size - 1] int64 parent of nodes 1 .. size - 1 in a binary tree rooted at 0 whose leaves are the odd nodes."""
    node = np.arange(1, size)
    low = node & -node
    up = (node ^ low) | (low << 1)
    return np.where(up >= size, node ^ low, up)


def _pat(call: Call) -> Schedule | None:
    if not (np.diff(np.sort(call.groups // call.domain, axis=1), axis=1) > 0).all():
        return None  # NCCL runs PAT with one rank a host only
    flows = pat_flows(call.groups, call.size_bytes / call.size)
    if call.op == "reduce_scatter":
        flows = Flows(flows.dst, flows.src, flows.bytes)
    return Schedule("pat", call, (Sends(flows, "pat", (0, ceil(log2(call.size)))),))


def pat_flows(groups: IntArray, chunk_bytes: float) -> Flows:
    """All-gather by parallel aggregated trees: every rank's chunk runs down a binomial tree, far ranks first.

    Rank i sends to i + 2^d the chunks of all trees in which that edge lies: as many as there are numbers below the
    size whose lowest set bit is 2^d. So few bytes go far (NVIDIA, Memory-efficient all-gather and reduce-scatter for
    NCCL, arXiv 2506.20252; assumed to be unrolled in full).
    """
    size = groups.shape[1]
    offset = np.arange(1, size)
    low = offset & -offset
    parts = []
    for distance in np.unique(low).tolist():
        dst = np.roll(groups, -distance, 1)
        chunks = float((low == distance).sum())
        parts.append(Flows(groups.ravel(), dst.ravel(), np.full(groups.size, chunks * chunk_bytes)))
    return join(parts)


# Shares of the call that each of n ranks sends to and takes from the NVLink switches: a reduction pulls the whole
# buffer out of every rank and leaves each its part; a multicast is the reverse (NCCL src/device, NVLS).
_NVLS: dict[str, Callable[[int], tuple[float, float]]] = {
    "reduce_scatter": lambda n: (1.0, 1 / n),
    "all_gather": lambda n: (1 / n, 1.0),
    "all_reduce": lambda n: (1 + 1 / n, 1 + 1 / n),
}


def _multicast(op: str, ranks: IntArray, size_bytes: float, members: int) -> Multicast:
    out, into = _NVLS[op](members)
    return Multicast(ranks.ravel(), out * size_bytes, into * size_bytes, "nvls", (1, 0))


def _nvls(call: Call) -> Schedule | None:
    if not _inside(call):
        return None
    return Schedule("nvls", call, (_multicast(call.op, call.groups, call.size_bytes, call.size),), _inside(call))


# ---- two levels ------------------------------------------------------------------------------------------------------


def _two_levels(name: str, inside: str, across: str) -> Callable[[Call], Schedule | None]:
    """Members of a domain share the work among their rails: scatter inside, run across on each rail, gather inside."""

    def make(call: Call) -> Schedule | None:
        cells = call.cells
        if cells is None or cells.shape[1] < 2 or cells.shape[2] < 2:
            return None
        _, domains, members = cells.shape
        near = [op for op in ("reduce_scatter", "all_gather") if call.op in ("all_reduce", op)]
        first = [_near(inside, op, cells, call.size_bytes) for op in near]
        rails = cells.transpose(0, 2, 1).reshape(-1, domains)
        far = _far(across, call.op, rails, call.size_bytes / members)
        free = "switches reduce: uplinks carry one partial sum, whatever the order" if across == "sharp" else ""
        return Schedule(name, call, (*first, far), free)

    return make


def _near(kind: str, op: str, cells: IntArray, size_bytes: float) -> Phase:
    members = cells.shape[2]
    ranks = cells.reshape(-1, members)
    if kind == "nvls":
        return _multicast(op, ranks, size_bytes, members)
    return Sends(ring(ranks, (members - 1) / members * size_bytes), "ring", (members - 1, 0))


def _far(kind: str, op: str, rails: IntArray, size_bytes: float) -> Phase:
    domains = rails.shape[1]
    if kind == "sharp":
        return InNetwork(rails.ravel(), size_bytes, "sharp", (0, 1))
    if kind == "tree":
        return Sends(tree_flows(rails, size_bytes), "tree", (0, 2 * ceil(log2(domains))))
    turns = _TURNS[op]
    sent = turns * (domains - 1) / domains * size_bytes
    return Sends(ring(rails, sent), "ring", (0, turns * (domains - 1)))


# ---- exchanges -------------------------------------------------------------------------------------------------------

EVERYONE = "every rank sends to every other: only the choice of hosts matters"


def _direct(call: Call) -> Schedule:
    flows = all_to_all(call.groups, (call.size - 1) / call.size * call.size_bytes)
    across = int(_domains(call) > 1)
    return Schedule(
        "direct", call, (Sends(flows, "all_to_all", (1 - across, across), own_rail=True),), _inside(call) or EVERYONE
    )


def _rail(call: Call) -> Schedule | None:
    if _inside(call):
        return None
    flows = all_to_all(call.groups, (call.size - 1) / call.size * call.size_bytes)
    phases = (HandsOver(flows, "all_to_all", (1, 0)), Sends(flows, "all_to_all", (0, 1)))
    return Schedule("rail", call, phases, EVERYONE)


def _p2p(call: Call) -> Schedule:
    src, dst = call.groups[:, :-1].ravel(), call.groups[:, 1:].ravel()
    across = int(bool((src // call.domain != dst // call.domain).any()))
    flows = Flows(src, dst, np.full(len(src), call.size_bytes))
    return Schedule("p2p", call, (Sends(flows, "p2p", (1 - across, across)),), _inside(call))


def _neighbours(call: Call) -> Schedule:
    across = int(_domains(call) > 1)
    flows = ring(call.groups, call.size_bytes)
    return Schedule("neighbours", call, (Sends(flows, "p2p", (1 - across, across)),), _inside(call))


def once_a_host(call: Call, flows: Flows) -> Schedule:
    """Dispatch or combine by DeepEP's normal kernels: once to each other host on the same rail, then over NVLink.

    Parameters
    ----------
    call
        The all-to-all that it stands for.
    flows
        Of one dispatch or combine, as `topoplan.model.patterns.expert_all_to_all` has them.
    """
    return Schedule("once a host", call, (Sends(flows, "moe", (0, 0)),), _inside(call) or EVERYONE)


def low_latency(call: Call) -> Schedule:
    """Dispatch or combine by DeepEP's low-latency kernels: every copy goes from its sender straight to its expert.

    Parameters
    ----------
    call
        The all-to-all of all copies.
    """
    flows = all_to_all(call.groups, (call.size - 1) / call.size * call.size_bytes)
    return Schedule(
        "low latency", call, (Sends(flows, "low_latency", (0, 0), own_rail=True),), _inside(call) or EVERYONE
    )


_REDUCE, _ALL = ("all_reduce",), ("all_reduce", "all_gather", "reduce_scatter")
_NONE, _BOTH = frozenset[str](), frozenset({"nvls", "sharp"})
# name -> what switches must do, ops, how it is made
_ALGORITHMS: dict[str, tuple[frozenset[str], tuple[str, ...], Callable[[Call], Schedule | None]]] = {
    "ring": (_NONE, _ALL, _ring),
    "tree": (_NONE, _REDUCE, _tree),
    "pat": (_NONE, ("all_gather", "reduce_scatter"), _pat),
    "nvls": (frozenset({"nvls"}), _ALL, _nvls),
    "hierarchical": (_NONE, _ALL, _two_levels("hierarchical", "ring", "ring")),
    "nvls ring": (frozenset({"nvls"}), _ALL, _two_levels("nvls ring", "nvls", "ring")),
    "nvls tree": (frozenset({"nvls"}), _REDUCE, _two_levels("nvls tree", "nvls", "tree")),
    "collnet": (frozenset({"sharp"}), _REDUCE, _two_levels("collnet", "ring", "sharp")),
    "nvls sharp": (_BOTH, _REDUCE, _two_levels("nvls sharp", "nvls", "sharp")),
    "direct": (_NONE, ("all_to_all",), _direct),
    "rail": (_NONE, ("all_to_all",), _rail),
    "p2p": (_NONE, ("p2p",), _p2p),
    "neighbours": (_NONE, ("ring",), _neighbours),
}
ALGORITHMS = tuple(_ALGORITHMS)
BY_NETWORK = frozenset(name for name, (needs, _, _) in _ALGORITHMS.items() if "sharp" in needs)
