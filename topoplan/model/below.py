"""Which hosts, and which NIC bandwidth, are below each group, over all planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.model.fabric import Fabric, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Below:
    """What is below the groups of a fabric.

    Parameters
    ----------
    hosts
        For each group the hosts with a NIC below it in some plane, in physical order.
    bandwidth
        [groups, rails] float64 bytes/s of their NICs, a plane's share of each; all at rail 0 where rails share a
        switch.
    """

    hosts: tuple[IntArray, ...]
    bandwidth: FloatArray


def below(fabric: Fabric) -> Below:
    """Hosts and NIC bandwidth below each group of `fabric`; a host without NICs counts where it hangs."""
    groups, rails = len(fabric.groups), fabric.rails
    bandwidth = np.zeros((groups, rails))
    ports = np.arange(len(fabric.port_bandwidth))
    rail, host = ports % rails, ports // rails
    used = (fabric.port_bandwidth > 0) | (np.bincount(host, fabric.port_bandwidth)[host] == 0)
    pairs = [np.zeros(0, np.int64)]
    for plane in range(fabric.planes):
        for ancestors in fabric.group_ancestor[:, fabric.port_group[plane]]:
            here = np.flatnonzero(used & (ancestors >= 0))
            group = ancestors[here]
            np.add.at(
                bandwidth,
                (group, rail[here] * (fabric.group_rails[group] > 1)),
                fabric.port_bandwidth[here] / fabric.planes,
            )
            pairs.append(np.unique(group * len(fabric.hosts) + host[here]))
    group, member = np.divmod(np.unique(np.concatenate(pairs)), len(fabric.hosts))
    return Below(tuple(np.split(member, np.searchsorted(group, np.arange(1, groups)))) if groups else (), bandwidth)
