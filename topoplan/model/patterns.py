"""Who sends to whom in a collective, as NCCL and DeepEP build it: group arrays in, directed flows out.

Every pattern returns `Flows`: (src, dst, bytes) arrays. Groups are [groups, size] int64 ranks in communication order;
ranks that share ``rank // gpus_per_host`` are taken to sit on one host, which is how launchers fill hosts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Flows:
    """Directed flows: src, dst [flows] int64 ranks, bytes [flows] float64."""

    src: IntArray
    dst: IntArray
    bytes: FloatArray


def _flows(src: IntArray, dst: IntArray, size_bytes: FloatArray | float) -> Flows:
    src, dst = np.broadcast_arrays(src, dst)
    return Flows(src.ravel(), dst.ravel(), np.broadcast_to(np.asarray(size_bytes, float), src.shape).ravel())


def join(parts: list[Flows]) -> Flows:
    """All flows of all parts."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Flows(none, none, np.zeros(0))
    return Flows(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("src", "dst", "bytes")))


def ring(groups: IntArray, size_bytes: float) -> Flows:
    """Each rank sends `size_bytes` to the next of its group, the last to the first."""
    if groups.shape[1] < 2:
        return join([])
    return _flows(groups, np.roll(groups, -1, 1), size_bytes)


def chain(groups: IntArray, size_bytes: float, *, wrap: float = 0.0) -> Flows:
    """Pipeline: neighbours send each other `size_bytes`; last and first exchange `wrap` (interleaved stages)."""
    if groups.shape[1] < 2:
        return join([])
    ahead, behind = groups[:, :-1], groups[:, 1:]
    parts = [_flows(ahead, behind, size_bytes), _flows(behind, ahead, size_bytes)]
    if wrap:
        parts += [_flows(groups[:, -1], groups[:, 0], wrap), _flows(groups[:, 0], groups[:, -1], wrap)]
    return join(parts)


def rail_ring(groups: IntArray, size_bytes: float, gpus_per_host: int) -> Flows:
    """Ring of NCCL over hosts with several members: one channel a member, so that every NIC carries its share.

    Each of the m members of a host sends size_bytes / m to its like on the next host, and the channels together pass
    size_bytes x (m - 1) / m along the members inside the host. With one member a host this is `ring`.
    Source: ring channels of NCCL, src/graph/connect.cc (each channel enters and leaves a node by its own NIC).
    """
    hosts = groups // gpus_per_host
    members = (hosts == hosts[:, :1]).sum(1)
    m = int(members[0]) if len(members) else 1
    size = groups.shape[1]
    # The grid is regular when every host holds m consecutive members; otherwise the plain ring is what NCCL makes.
    regular = (
        1 < m < size
        and size % m == 0
        and bool((hosts.reshape(len(groups), -1, m) == hosts.reshape(len(groups), -1, m)[:, :, :1]).all())
        and bool((np.diff(hosts[:, ::m], axis=1) != 0).all())
    )
    if not regular:
        return ring(groups, size_bytes)
    cells = groups.reshape(len(groups), -1, m)
    return join(
        [
            _flows(cells, np.roll(cells, -1, 1), size_bytes / m),
            _flows(cells, np.roll(cells, -1, 2), size_bytes * (m - 1) / m),
        ]
    )


def all_to_all(groups: IntArray, size_bytes: float) -> Flows:
    """Each rank sends `size_bytes` / (size - 1) to each other rank of its group."""
    size = groups.shape[1]
    if size < 2:
        return join([])
    a, b = (x.ravel() for x in np.nonzero(~np.eye(size, dtype=bool)))
    return _flows(groups[:, a], groups[:, b], size_bytes / (size - 1))


def expert_all_to_all(groups: IntArray, host_bytes: float, gpu_bytes: float, gpus_per_host: int) -> Flows:
    """Dispatch and combine as DeepEP's normal kernels send them: once per remote host on the same rail, then NVLink.

    Parameters
    ----------
    host_bytes
        Bytes from one rank to one other host.
    gpu_bytes
        Bytes from one rank's tokens to one GPU, summed over that GPU's experts without repeats.

    Notes
    -----
    What arrives on a rail from each remote host is forwarded over NVLink to the GPUs that hold the experts, so an
    NVLink flow carries gpu_bytes once for each host of the group. Groups that do not fill hosts evenly send plainly,
    rank to rank. Source: DeepEP README (normal kernels forward NVLink <- RDMA of the same local index).
    """
    size = groups.shape[1]
    hosts = groups // gpus_per_host
    m = int((hosts[0] == hosts[0, 0]).sum()) if len(groups) else 1
    cells_hosts = hosts.reshape(len(groups), -1, m) if size % m == 0 else None
    # hosts must hold m members each, no more and no less: else 64 ranks from the 64th on, 72 a domain, would look like
    # eight domains of eight
    whole = cells_hosts is not None and bool(
        (cells_hosts == cells_hosts[:, :, :1]).all() and np.diff(np.sort(cells_hosts[:, :, 0]), axis=1).all()
    )
    if not whole:
        return all_to_all(groups, gpu_bytes * (size - 1))
    cells = groups.reshape(len(groups), -1, m)
    count = cells.shape[1]
    parts = []
    if count > 1:
        a, b = np.nonzero(~np.eye(count, dtype=bool))
        parts.append(_flows(cells[:, a, :], cells[:, b, :], host_bytes))
    if m > 1:
        i, j = np.nonzero(~np.eye(m, dtype=bool))
        parts.append(_flows(cells[:, :, i], cells[:, :, j], gpu_bytes * count))
    return join(parts)
