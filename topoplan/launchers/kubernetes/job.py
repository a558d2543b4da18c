"""What all Kubernetes objects of a plan are made from: its hosts, grouped by the pod templates that they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers.base import LaunchRequest
from topoplan.launchers.kubernetes.manifest import object_name
from topoplan.launchers.table import HostRow, host_rows

_SHOWN = 4
# A label's value in lower case, as nodes are named: https://kubernetes.io/docs/concepts/overview/working-with-objects
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Group:
    """Pods of one template.

    Parameters
    ----------
    name
        Unique in the job, fit for a task or replicated job.
    rows
        Hosts that its pods belong on, in the order of the plan.
    gpus
        GPUs that each pod asks for: all that are usable, as the plan counts those of whole hosts.
    nodes
        Nodes that its pods may run on; empty for any.
    """

    name: str
    rows: tuple[HostRow, ...]
    gpus: int
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class KubernetesJob:
    """A request with the hosts of its placement, and names for its objects."""

    request: LaunchRequest

    @cached_property
    def rows(self) -> tuple[HostRow, ...]:
        """Hosts in the order in which ranks first use them."""
        return tuple(host_rows(self.request.placement))

    @property
    def name(self) -> str:
        """Name of the main object."""
        return object_name(self.request.label)

    @property
    def namespace(self) -> str:
        """Namespace of every object."""
        return self.request.namespace or "default"

    @property
    def most_ranks(self) -> int:
        """Ranks of the host that has most of them."""
        return max(len(row.ranks) for row in self.rows)

    def metadata(self, suffix: str = "") -> dict[str, object]:
        """Name, namespace and label of an object."""
        return {
            "name": self.name + suffix,
            "namespace": self.namespace,
            "labels": self.labels,
        }

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object and pod."""
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/created-by": "topoplan"}

    def usable(self, row: HostRow) -> tuple[int, ...]:
        """GPU indices of a host that pods can get, which is all of them unless some are broken or taken."""
        fabric = self.request.placement.fabric
        h = fabric.host_index[row.host]
        first = int(fabric.gpu_offset[h])
        return tuple(gpu for gpu in range(int(fabric.host_gpus[h])) if fabric.gpu_free[first + gpu])

    def nodes(self, rows: Sequence[HostRow]) -> tuple[str, ...]:
        """Names of the hosts as Kubernetes knows them: their k8s aliases, else their own names.

        Raises
        ------
        InputError
            A name that cannot be the label kubernetes.io/hostname of a node, or that two hosts have.
        """
        fabric = self.request.placement.fabric
        names = []
        for row in rows:
            h = fabric.host_index[row.host]
            name = dict(fabric.hosts[h].aliases).get("k8s", row.host)
            if fabric.alias_index.get(name) != h:
                raise InputError(f"{name} is the name of {row.host} and of another host, so no pod can be pinned to it")
            if not _NODE.fullmatch(name):
                raise InputError(
                    f"host {row.host}: {name[:80]!r} cannot be the kubernetes.io/hostname of a node, so no pod can "
                    "be pinned to it",
                    hint="give the hosts their node names as k8s aliases, or leave --set pin out",
                )
            names.append(name)
        return tuple(names)

    def groups(self) -> tuple[Group, ...]:
        """One group a number of GPUs, the group of rank 0 first; with pin=index one a host."""
        if self.request.pin == "index":
            width = len(str(len(self.rows) - 1))
            return tuple(
                Group(f"pod-{i:0{width}d}", (row,), len(self.usable(row)), self.nodes([row]))
                for i, row in enumerate(self.rows)
            )
        by_gpus: dict[int, list[HostRow]] = {}
        for row in self.rows:
            by_gpus.setdefault(len(self.usable(row)), []).append(row)
        pinned = self.request.pin == "true"
        return tuple(
            Group(
                "pods" if len(by_gpus) == 1 else f"pods-{gpus}-gpus",
                tuple(rows),
                gpus,
                self.nodes(rows) if pinned else (),
            )
            for gpus, rows in by_gpus.items()
        )

    def one_group(self, kind: str) -> Group:
        """All pods, for kinds that have a single template.

        Raises
        ------
        InputError
            Pins by index.
        InfeasibleError
            Hosts that need different templates.
        """
        if self.request.pin == "index":
            raise InputError(
                f"{kind} makes all pods from one template, so none can be pinned alone",
                hint="use --set pin=true, or jobset or volcano for pin=index",
            )
        groups = self.groups()
        if len(groups) > 1:
            first = [group.rows[0].host for group in groups[:_SHOWN]]
            gpus = [str(group.gpus) for group in groups[:_SHOWN]]
            raise InfeasibleError(
                f"{kind} makes all pods from one template, but {', '.join(first)} need templates of their own: they "
                f"have {', '.join(gpus)} usable GPUs",
                hint="export for jobset or volcano, which have a template for each kind of host",
            )
        return groups[0]


def check_expressible(job: KubernetesJob) -> None:
    """Refuse what no device plugin lets a plan say."""
    sliced = [row.host for row in job.rows if row.sliced]
    if sliced:
        raise InfeasibleError(
            f"GPUs of {sliced[0]} are cut into MIG slices; on Kubernetes the device plugin chooses the slices of a pod",
            hint="export for openmpi or slurm",
        )
