"""Checkpoint writes and training data as flows of their own, over front-end NICs or beside the collectives."""

from __future__ import annotations

import numpy as np

from topoplan.cost.collectives.rates import link_class, rate
from topoplan.cost.work import Work, held_weights
from topoplan.model.compute import Storage
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.step import StorageFlow

# A checkpoint holds BF16 weights and Adam's FP32 weights and two moments, once over all ranks.
CHECKPOINT_BYTES = 2 + 3 * 4


def storage_flows(work: Work, fabric: Fabric, gpu: IntArray) -> tuple[StorageFlow, ...]:
    """Flows of a job's storage, all ranks alike."""
    settings = work.job.storage
    if settings is None:
        return ()
    flows = []
    if settings.checkpoint_every:
        size = settings.checkpoint_bytes or checkpoint_bytes(work)
        flows.append(_flow("checkpoint", settings, size, settings.checkpoint_every, fabric, gpu))
    if settings.bytes_per_token:
        batch = work.batch
        tokens = batch.sequence * batch.micro_batch * batch.micro_batches * work.parallel.dp
        flows.append(_flow("data", settings, settings.bytes_per_token * tokens, 1, fabric, gpu))
    return tuple(flows)


def checkpoint_bytes(work: Work) -> float:
    """Size of a whole checkpoint."""
    held, p = held_weights(work), work.parallel
    return CHECKPOINT_BYTES * float(held.shared.sum() * p.tp + held.routed.sum() * p.ep * p.etp)


def _flow(name: str, settings: Storage, size: float, steps: int, fabric: Fabric, gpu: IntArray) -> StorageFlow:
    each = size / len(gpu)
    if settings.network == "back-end":
        seconds: float | None = float(back_end_seconds(fabric, gpu, each).max(initial=0.0))
    else:
        seconds = front_end_seconds(fabric, gpu, each)
    return StorageFlow(name, settings.network, size, seconds, steps)


def front_end_seconds(fabric: Fabric, gpu: IntArray, each_bytes: float) -> float | None:
    """Seconds of the slowest host's front-end NICs when every rank moves `each_bytes`; None where hosts have none."""
    ranks = np.bincount(fabric.gpu_host[gpu], minlength=len(fabric.hosts))
    speed = np.array([sum(nic.bandwidth_bytes_per_s for nic in kind.other_nics) for kind in fabric.host_types])
    mine = speed[fabric.host_type][ranks > 0]
    if not len(mine) or mine.min() <= 0:
        return None
    return float((ranks[ranks > 0] * each_bytes / (mine * _share(fabric))).max())


def back_end_seconds(fabric: Fabric, gpu: IntArray, each_bytes: float) -> FloatArray:
    """[ports + uplinks] float64 seconds when every rank moves `each_bytes` past the top of the tree, by its own NIC."""
    port = fabric.gpu_host[gpu] * fabric.rails + fabric.gpu_rail[gpu]
    load = np.bincount(port, minlength=len(fabric.port_bandwidth)) * each_bytes
    uplink = np.zeros(len(fabric.uplink_links))
    for plane in range(fabric.planes if fabric.groups else 0):
        for ancestors in fabric.group_ancestor:
            attached = fabric.port_group[plane, port]
            group = np.where(attached >= 0, ancestors[attached], -1)
            known = np.flatnonzero(group >= 0)
            rail = np.where(fabric.group_rails[group[known]] > 1, port[known] % fabric.rails, 0)
            index = group[known] * fabric.rails + rail
            uplink += np.bincount(index, minlength=len(uplink)) * each_bytes / fabric.planes
    capacity = np.concatenate([fabric.port_bandwidth, fabric.uplink_links * fabric.uplink_link_bandwidth])
    # groups at the top have no uplink: storage is taken to hang there
    seconds = np.zeros(len(capacity))
    np.divide(np.concatenate([load, uplink]), capacity * _share(fabric), out=seconds, where=capacity > 0)
    return seconds


def _share(fabric: Fabric) -> float:
    """Share of the line rate: storage sends from point to point."""
    return rate(link_class(fabric, "nic"), "p2p", 0.0).share
