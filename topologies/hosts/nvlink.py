"""NVLink or xGMI inside a host: which GPUs it joins, and what one GPU gets of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import BoolArray, IntArray
from topoplan.model.host_type import numbered


@dataclass(frozen=True, slots=True)
class Joined:
    """NVLink domains of a host.

    Parameters
    ----------
    domains
        Domain of each GPU.
    size
        GPUs of the largest.
    links
        Links that one GPU has into its domain: the fewest of all GPUs that have any.
    unequal
        Whether GPUs of one domain have different numbers of links, or no link between some of them.
    """

    domains: tuple[int, ...]
    size: int
    links: int
    unequal: bool


def join(direct: IntArray, switched: IntArray) -> Joined:
    """Domains made by cables between GPUs and by switches.

    GPUs that links connect, over other GPUs if need be, are one domain: NCCL's rings pass through GPUs. Those on
    switches are one domain too.

    Parameters
    ----------
    direct
        [gpus, gpus] int64 links between each pair, symmetric.
    switched
        [gpus] int64 links of each GPU to switches.
    """
    return _joined((direct > 0) | ((switched > 0)[:, None] & (switched > 0)[None]), direct.sum(axis=1) + switched)


def join_bonds(bonds: IntArray, most: int) -> Joined:
    """Domains of a matrix of bonds as nvidia-smi prints it; see `join`.

    Behind NVLink switches every pair shows all links of a GPU (NV18); on direct cables a pair shows its own, and those
    of all pairs together are no more than a GPU has.

    Parameters
    ----------
    bonds
        [gpus, gpus] int64 the # of NV#, 0 without NVLink, symmetric.
    most
        Links that one GPU has.
    """
    total = bonds.sum(axis=1)
    switched = total.max(initial=0) > most
    return _joined(bonds > 0, bonds.max(axis=1, initial=0) if switched else total)


def _joined(linked: BoolArray, links: IntArray) -> Joined:
    """Connected parts of `linked` [gpus, gpus], and the fewest `links` [gpus] of a GPU in one."""
    gpus = len(links)
    label = np.arange(gpus)
    for _ in range(gpus):
        again = np.minimum(label, np.where(linked, label[None], gpus).min(axis=1, initial=gpus))
        if (again == label).all():
            break
        label = again
    domains = numbered(label.tolist())
    sizes = np.bincount(np.array(domains))
    inside = [gpu for gpu in range(gpus) if sizes[domains[gpu]] > 1]
    together = np.equal.outer(domains, domains) & ~np.eye(gpus, dtype=bool)
    unequal = bool(inside) and (len(set(links[inside].tolist())) > 1 or bool((together & ~linked).any()))
    return Joined(domains, int(sizes.max()), int(links[inside].min()) if inside else 0, unequal)
