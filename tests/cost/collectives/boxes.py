"""Small fabrics for tests of collectives."""

import numpy as np

from topoplan.model.fabric import Fabric, Group, Host, HostType, Island, Nic, Tier

NIC, NVLINK = 50e9, 450e9


def hosts(
    count: int, gpus: int = 8, leaves: int = 1, routing: str = "adaptive", links: float = 0.0, rack: bool = False
) -> Fabric:
    """`count` hosts spread over leaves in turn of order, one NIC a GPU on its own rail.

    Leaves have `links` uplinks a rail, as many as hosts below where 0; `rack` makes each leaf one NVLink domain.
    """
    kind = HostType("box", gpus, tuple(Nic(i, NIC, i) for i in range(gpus)), gpus, NVLINK)
    below = count // leaves
    width = links or float(below)
    groups = [Group("core", 1)]
    groups += [Group(f"leaf-{k}", 0, 0, gpus, (width,) * gpus, NIC) for k in range(leaves)]
    machines = tuple(Host(f"n{h}", 0, 1 + h // below) for h in range(count))
    islands = tuple(
        Island(f"rack-{k}", tuple(range(k * below, (k + 1) * below)), 2 * NVLINK) for k in range(leaves if rack else 0)
    )
    tiers = (Tier("leaf", 10.0), Tier("core", 20.0))
    return Fabric("f", routing, (kind,), machines, tiers, tuple(groups), islands=islands)


def everyone(fabric: Fabric) -> np.ndarray:
    """[1, gpus] one group of all ranks in order."""
    return np.arange(fabric.gpus)[None, :]
