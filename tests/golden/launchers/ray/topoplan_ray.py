# plan golden-plan: 9 ranks on 5 hosts. Used by your driver: import topoplan_ray, with hosts.tsv beside it.
# Reordered silently by actors that are started in another way: Ray keeps no order of nodes.
"""Ray actors where the plan puts them: a placement group with a bundle a host, pinned to it, and an actor a rank.

    import topoplan_ray
    workers = topoplan_ray.start(ray.remote(Worker))       # workers[r] is rank r, on its host and GPU
    ray.get([worker.train.remote() for worker in workers])

Nodes are found by host name or address, as ray.nodes() has them. Bundles ask for the resource node:ADDRESS, which every
Ray node has, or with labels=True for the label ray.io/node-id (Ray 2.49 and newer). Each actor has RANK, LOCAL_RANK,
WORLD_SIZE, MASTER_ADDR, MASTER_PORT, CUDA_VISIBLE_DEVICES and NCCL_IB_HCA in its environment.
"""

from __future__ import annotations


import glob
import gzip
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

TABLE = "hosts.txt"  # columns with spaces between
TABS = "hosts.tsv"  # the same with tabs
PACKED = "hosts.txt.gz."  # parts of the compressed table: .000, .001 ...
DEVICES = "devices.txt"
NOT_AS_PLANNED = 6  # exit code, as everywhere in topoplan


class PodRow(NamedTuple):
    """One host: its number in the order of the plan, its ranks, their devices in a pod, and all its names."""

    number: int
    host: str
    ranks: Sequence[int]
    devices: Sequence[int]
    hcas: Sequence[str]
    names: Sequence[str]


def say(message: str) -> None:
    """One line to standard error, in one piece."""
    sys.stderr.write("topoplan: " + message + "\n")
    sys.stderr.flush()


def stop(message: str) -> NoReturn:
    """End this process: something is not as the plan says."""
    say(message)
    raise SystemExit(NOT_AS_PLANNED)


def table_bytes(folder: str) -> bytes:
    """The table, put together from compressed parts where it was too large for one piece."""
    for plain in (os.path.join(folder, name) for name in (TABLE, TABS)):
        if os.path.exists(plain):
            with open(plain, "rb") as file:
                return file.read()
    parts = []
    for path in sorted(glob.glob(os.path.join(folder, PACKED + "*"))):
        with open(path, "rb") as file:
            parts.append(file.read())
    if not parts:
        stop("the plan's table is not in " + folder)
    return gzip.decompress(b"".join(parts))


def pod_rows(folder: str) -> list[PodRow]:
    """All hosts of the plan, that of rank 0 first."""
    visible = {}
    path = os.path.join(folder, DEVICES)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                host, gpus = line.split()
                visible[host] = [int(gpu) for gpu in gpus.split(",")]
    rows: list[PodRow] = []
    for line in table_bytes(folder).decode().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        host, ranks, gpus, hcas, names = line.split()
        devices = [int(gpu) for gpu in gpus.split(",")]
        if host in visible:  # the pod sees fewer GPUs than the host has, numbered anew
            devices = [visible[host].index(gpu) for gpu in devices]
        rows.append(
            PodRow(
                len(rows),
                host,
                [int(rank) for rank in ranks.split(",")],
                devices,
                [] if hcas == "-" else hcas.split(","),
                names.split(","),
            )
        )
    return rows


def own_row(rows: Sequence[PodRow], me: str) -> PodRow | None:
    """The row of the host called `me`: exactly, else in lower case, else without its domain; None for a stranger."""
    short = me.partition(".")[0]
    for name in (me, me.lower(), short, short.lower()):
        for row in rows:
            if name in row.names:
                return row
    return None


def rank_environment(
    rows: Sequence[PodRow],
    row: PodRow,
    rank: int,
    master: str,
    env: Mapping[str, str],
    sysfs: str = "/sys/class/infiniband",
) -> dict[str, str]:
    """Environment of one rank on its host; `env` is what it starts from."""
    local = list(row.ranks).index(rank)
    devices = [row.devices[local]] if env.get("TOPOPLAN_ONE_GPU") == "1" else row.devices
    found = {
        **env,
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "LOCAL_WORLD_SIZE": str(len(row.ranks)),
        "WORLD_SIZE": str(sum(len(each.ranks) for each in rows)),
        "MASTER_ADDR": master,
        "MASTER_PORT": env.get("TOPOPLAN_MASTER_PORT", "29500"),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)),
    }
    # Pods may see other devices than their host; names that are not there would make NCCL fall back to TCP silently.
    if row.hcas and all(os.path.isdir(os.path.join(sysfs, hca.split(":")[0])) for hca in row.hcas):
        found.setdefault("NCCL_IB_HCA", "=" + ",".join(row.hcas))
    return found


import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any


# What export writes here.
MASTER_PORT = 29500
NCCL_TOPO_FILE = ''

_PIN = 0.001  # of a node's own resource: enough to ask for the node and leave it to others
# Ray shows an actor the GPUs that it chose itself unless this is set.
_OWN_DEVICES = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


def hosts(folder: str | None = None) -> list[PodRow]:
    """Hosts of the plan, that of rank 0 first, from hosts.tsv in `folder`, else beside this file."""
    return pod_rows(folder or os.path.dirname(os.path.abspath(__file__)))


def find_nodes(rows: Sequence[PodRow], nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Ray's node of each host; RuntimeError names the hosts that have none, or two."""
    found: dict[int, Mapping[str, Any]] = {}
    for node in nodes:
        if not node.get("Alive"):
            continue
        names = (node.get("NodeManagerAddress"), node.get("NodeName"), node.get("NodeManagerHostname"))
        row = next((row for row in (own_row(rows, name) for name in names if name) if row is not None), None)
        if row is None:
            continue
        if row.number in found:
            raise RuntimeError(f"two Ray nodes are host {row.host} of the plan")
        found[row.number] = node
    missing = [row.host for row in rows if row.number not in found]
    if missing:
        raise RuntimeError(f"Ray has no node for {len(missing)} hosts of the plan: {', '.join(missing[:8])}")
    return [found[row.number] for row in rows]


def bundles(
    rows: Sequence[PodRow], nodes: Sequence[Mapping[str, Any]], cpus_per_rank: float = 1, labels: bool = False
) -> list[dict[str, float]]:
    """Resources of each host's bundle, in the order of the plan."""
    made = []
    for row, node in zip(rows, nodes):  # noqa: B905 - strict needs Python 3.10
        bundle = {"CPU": len(row.ranks) * cpus_per_rank, "GPU": float(len(row.ranks))}
        if not labels:
            bundle["node:" + node["NodeManagerAddress"]] = _PIN
        made.append({name: amount for name, amount in bundle.items() if amount})
    return made


def environment(rows: Sequence[PodRow], row: PodRow, rank: int, master: str) -> dict[str, str]:
    """Environment of one rank's actor."""
    env = {
        "RANK": str(rank),
        "LOCAL_RANK": str(list(row.ranks).index(rank)),
        "LOCAL_WORLD_SIZE": str(len(row.ranks)),
        "WORLD_SIZE": str(sum(len(each.ranks) for each in rows)),
        "MASTER_ADDR": master,
        "MASTER_PORT": str(MASTER_PORT),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, row.devices)),
        "TOPOPLAN_HOST": row.host,
        _OWN_DEVICES: "1",
    }
    if row.hcas:
        env["NCCL_IB_HCA"] = "=" + ",".join(row.hcas)
    if NCCL_TOPO_FILE:
        env["NCCL_TOPO_FILE"] = NCCL_TOPO_FILE
    return env


def start(
    actor: Any,
    *args: Any,
    cpus_per_rank: float = 1,
    labels: bool = False,
    timeout_s: float = 600,
    folder: str | None = None,
    **kwargs: Any,
) -> list[Any]:
    """Start one `actor` (a class that went through ray.remote) a rank; returns the handles in rank order.

    Other arguments go to the actor. RuntimeError when the plan's hosts are not all there, or not free in time.
    """
    ray = importlib.import_module("ray")
    util = importlib.import_module("ray.util")
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    rows = hosts(folder)
    nodes = find_nodes(rows, ray.nodes())
    pins = {"bundle_label_selector": [{"ray.io/node-id": node["NodeID"]} for node in nodes]} if labels else {}
    group = util.placement_group(bundles(rows, nodes, cpus_per_rank, labels), strategy="STRICT_SPREAD", **pins)
    if not group.wait(timeout_s):
        util.remove_placement_group(group)
        raise RuntimeError(f"the plan's hosts were not free within {timeout_s} s")
    handles: dict[int, Any] = {}
    for row in rows:
        at = strategies.PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=row.number)
        for rank in row.ranks:
            env = environment(rows, row, rank, nodes[0]["NodeManagerAddress"])
            options = {"num_cpus": cpus_per_rank, "num_gpus": 1, "scheduling_strategy": at}
            handles[rank] = actor.options(runtime_env={"env_vars": env}, **options).remote(*args, **kwargs)
    return [handles[rank] for rank in sorted(handles)]
