"""Other tools on the same question: which host gets which block of ranks. Each is used where it is installed.

Both get the graph of hosts (bytes weighted by exposure, as integers) and the real leaf sizes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.benchmarks.cases import HOSTS, LEAVES
from topoplan.model.traffic import Traffic

Ints = npt.NDArray[np.int64]
WEIGHT = 1000  # of the heaviest edge: Scotch's sums are 32-bit


def host_graph(traffic: Traffic, gpus: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Undirected graph of blocks of `gpus` ranks in CSR: offsets, neighbours, integer weights, and block count."""
    count = traffic.ranks // gpus
    a, b = traffic.src // gpus, traffic.dst // gpus
    size = traffic.bytes * traffic.exposure[traffic.axis]
    out = a != b
    key = np.concatenate([a[out].astype(np.int64) * count + b[out], b[out].astype(np.int64) * count + a[out]])
    pair, where = np.unique(key, return_inverse=True)
    weight = np.bincount(where, np.tile(size[out], 2))
    whole = np.maximum(1, np.rint(weight / weight.max() * WEIGHT)).astype(np.int64)
    offsets = np.searchsorted(pair // count, np.arange(count + 1))
    return offsets, pair % count, whole, np.array([count])


def metis(traffic: Traffic, gpus: int, leaf: Ints) -> Ints:
    """[blocks] host of each: recursive METIS over pods, then leaves, parts repaired to their exact sizes."""
    import pymetis

    offsets, neighbours, weight, count = host_graph(traffic, gpus)
    host = np.full(int(count[0]), -1, np.int64)

    def cut(blocks: Ints, sizes: list[int]) -> list[Ints]:
        inside = np.full(int(count[0]), -1, np.int64)
        inside[blocks] = np.arange(len(blocks))
        rows = [np.arange(offsets[x], offsets[x + 1]) for x in blocks]
        kept = [row[inside[neighbours[row]] >= 0] for row in rows]
        if len(sizes) == 1 or not sum(map(len, kept)):
            return [part.astype(np.int64) for part in np.split(blocks, np.cumsum(sizes)[:-1])]
        starts = np.concatenate([[0], np.cumsum([len(k) for k in kept])])
        flat = np.concatenate(kept)
        share = [size / len(blocks) for size in sizes]
        _, label = pymetis.part_graph(
            len(sizes),
            xadj=starts.tolist(),
            adjncy=inside[neighbours[flat]].tolist(),
            eweights=weight[flat].tolist(),
            tpwgts=share,
            recursive=True,
        )
        return _repair(blocks, np.array(label), sizes)

    pods = leaf // LEAVES
    for pod, blocks in enumerate(cut(np.arange(len(leaf)), np.bincount(pods).tolist())):
        mine = np.unique(leaf[pods == pod])
        for k, part in zip(mine, cut(blocks, np.bincount(leaf)[mine].tolist()), strict=True):
            host[np.sort(part)] = np.flatnonzero(leaf == k)
    return host


def _repair(blocks: Ints, label: Ints, sizes: list[int]) -> list[Ints]:
    """Move the last blocks of parts that are too large to those that are too small."""
    parts = [list(blocks[label == i]) for i in range(len(sizes))]
    spare = [x for part, size in zip(parts, sizes, strict=True) for x in part[size:]]
    parts = [part[:size] for part, size in zip(parts, sizes, strict=True)]
    for part, size in zip(parts, sizes, strict=True):
        while len(part) < size:
            part.append(spare.pop())
    return [np.array(part, np.int64) for part in parts]


def scotch(traffic: Traffic, gpus: int, leaf: Ints) -> Ints:
    """[blocks] host of each by Scotch's gmap on the tree with its broken hosts left out."""
    program = shutil.which("scotch_gmap") or shutil.which("gmap")
    if program is None:
        raise FileNotFoundError("scotch_gmap")
    offsets, neighbours, weight, count = host_graph(traffic, gpus)
    slot = np.concatenate([k * HOSTS + np.arange(n) for k, n in enumerate(np.bincount(leaf))])
    pods = int(leaf.max()) // LEAVES + 1
    with tempfile.TemporaryDirectory() as folder:
        source, target, result = (Path(folder) / name for name in ("job.grf", "net.tgt", "job.map"))
        lines = [f"0\n{count[0]} {len(neighbours)}\n0 010"]
        for x in range(int(count[0])):
            row = slice(offsets[x], offsets[x + 1])
            pairs = " ".join(f"{w} {n}" for w, n in zip(weight[row], neighbours[row], strict=True))
            lines.append(f"{offsets[x + 1] - offsets[x]} {pairs}")
        source.write_text("\n".join(lines) + "\n")
        tree = f"3 {pods} 40 {LEAVES} 20 {HOSTS} 10" if pods > 1 else f"2 {LEAVES} 20 {HOSTS} 10"
        target.write_text(f"sub\n{len(slot)} {' '.join(map(str, slot))}\ntleaf {tree}\n")
        subprocess.run([program, str(source), str(target), str(result)], check=True, capture_output=True, timeout=600)
        pairs_read = np.array([line.split() for line in result.read_text().splitlines()[1:]], np.int64)
    placed = np.empty(int(count[0]), np.int64)
    placed[pairs_read[:, 0]] = pairs_read[:, 1]
    # one block a host is not promised: blocks that came second to a host take the free ones
    _, first = np.unique(placed, return_index=True)
    second = np.setdiff1d(np.arange(len(placed)), first)
    placed[second] = np.setdiff1d(np.arange(len(slot)), placed)[: len(second)]
    return placed


PEERS: dict[str, Callable[[Traffic, int, Ints], Ints]] = {"Scotch": scotch, "METIS": metis}
