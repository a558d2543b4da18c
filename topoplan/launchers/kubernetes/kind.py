"""A kind of Kubernetes job as a launcher: how it is written, and where its pod templates are found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.launchers.base import Launcher, LaunchFile, LaunchRequest, Order, Symptom, need
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.manifest import Object, check_sizes, dump, load
from topoplan.launchers.kubernetes.pods import ENTRY, HOSTNAME
from topoplan.launchers.kubernetes.tables import rows_of
from topoplan.launchers.rankmap import in_order
from topoplan.launchers.shell import comment
from topoplan.launchers.table import HostRow, seats_by_rank
from topoplan.model.capability import Freedom

_SETTINGS = ("program", "master_port", "nccl_topo_file", "namespace", "image", "pin", "gpu_resource", "rdma",
             "host_network", "scheduler", "queue", "topology")  # fmt: skip
Template = tuple[int, Mapping[str, Any]]  # how many pods, and their template

_EXPLAINS = {
    Symptom.FOREIGN_HOST: "{host} is not in the plan: the scheduler chose it, as pods were not pinned and the program "
    "was not started through /etc/topoplan/pod.py, which would have stopped it; use --set pin=true",
    Symptom.SORTED: "ranks follow the order of pod names: the program was not started through /etc/topoplan/pod.py",
    Symptom.GPU_ORDER: "the hosts are right but the GPUs are not: the program was not started through "
    "/etc/topoplan/pod.py",
    Symptom.OTHER: "ranks follow the indices of pods, which the scheduler puts on any node: the program was not "
    "started through /etc/topoplan/pod.py, which gives each node the ranks of the plan",
}


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of job.

    Parameters
    ----------
    name
        Of the launcher; its file is NAME.yaml.
    title
        The object, for people.
    objects
        All documents of the file, in the order in which they must be created.
    templates
        Pod templates of ranks, read back from the documents, pods of index 0 first.
    reorders
        What would silently reorder ranks, beside what is true of all kinds.
    mode
        Mode of the entry point in pods of ranks.
    """

    name: str
    title: str
    objects: Callable[[KubernetesJob], list[Object]]
    templates: Callable[[Sequence[Object], str], list[Template]]
    reorders: str
    settings: tuple[str, ...] = ("gang",)
    mode: str = "run"

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.yaml"

    def launcher(self) -> Launcher:
        """The kind as the registry lists it."""
        hints = (
            f"start: kubectl create -f {self.name}/{self.file}   (--set image=... program=... namespace=... pin=true)",
            f"reordered by: {self.reorders}",
        )
        settings = (*_SETTINGS, *self.settings)
        return Launcher(
            self.name, Freedom.RANKS, self.title, hints, self.write, self.read, _EXPLAINS, settings, by_table=True
        )

    def write(self, request: LaunchRequest) -> dict[str, LaunchFile]:
        """The file of a request."""
        job = KubernetesJob(request)
        objects = self.objects(job)
        check_sizes(objects)
        return {self.file: LaunchFile(self._header(job, objects) + dump(objects))}

    def _header(self, job: KubernetesJob, objects: Sequence[Object]) -> str:
        request = job.request
        where = {
            "": "Pods may land on any node, in any order: /etc/topoplan/pod.py looks up the node's ranks in the plan's "
            "table, and where a pod is on a node outside of the plan it stops all of them, saying so (exit code 6). "
            "--set pin=true keeps pods on the nodes of the plan.",
            "true": "Pods are pinned to the nodes of the plan, not to one each: /etc/topoplan/pod.py looks up the "
            "ranks of whichever node a pod got in the plan's table.",
            "index": "Each pod is pinned to one node; /etc/topoplan/pod.py looks up its ranks in the plan's table and "
            "stops all pods where one is elsewhere (exit code 6).",
        }
        maps = [made for made in objects if made["kind"] == "ConfigMap"]
        packed = ", compressed" if "binaryData" in maps[0] else ""
        return comment(
            [
                f"plan {request.label}: {request.placement.ranks} ranks on {len(job.rows)} hosts, as {self.title} "
                f"{job.name} in namespace {job.namespace}.",
                f"Start it: kubectl create -f {self.file} (the image needs python3 3.8 or newer as python3). To start "
                "it again, kubectl delete -f it first.",
                where[request.pin],
                f"The table is in {len(maps)} ConfigMap{'s' * (len(maps) > 1)} of at most 1 MiB{packed}. Pods ask for "
                "all usable GPUs of a host, as the plan counts those of whole hosts.",
                f"Reordered silently by {self.reorders}.",
                *([] if request.image and request.program else ["Without --set image=... and program=... it fails."]),
            ]
        )

    def read(self, files: Mapping[str, str]) -> Order:
        """Seats as the entry point will give them to the pods.

        Raises
        ------
        InputError
            Pods that would not start through it, or are too many, too few or pinned elsewhere.
        """
        objects = load(need(files, self.file), self.file)
        rows = rows_of(objects, self.file)
        self.pod_hosts(objects, rows)
        return in_order(seats_by_rank(rows), self.file)

    def pod_hosts(self, objects: Sequence[Object], rows: Sequence[HostRow]) -> list[str | None]:
        """Host of each pod index that is pinned to one; None where the entry point will find out.

        Raises
        ------
        InputError
            As `read`.
        """
        place = Place(self.file)
        try:
            templates = self.templates(objects, self.file)
            counts = [count for count, _ in templates]
            nodes = [pinned_nodes(template) for _, template in templates]
            commands = [template["spec"]["containers"][0]["command"] for _, template in templates]
            variables = [_variables(template) for _, template in templates]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(f"a pod template is not as topoplan writes it: {error}", place=place) from None
        if any(command[: len(ENTRY) + 1] != [*ENTRY, self.mode] for command in commands):
            raise InputError(
                f"pods do not start through {' '.join([*ENTRY, self.mode])}, so ranks follow pod indices", place=place
            )
        if any(found.get("TOPOPLAN_HOST") != "spec.nodeName" for found in variables):
            raise InputError("pods are not told their node (TOPOPLAN_HOST from spec.nodeName)", place=place)
        if sum(counts) != len(rows):
            raise InputError(f"{sum(counts)} pods for {len(rows)} hosts of the plan", place=place)
        return _hosts_of_pins(counts, nodes, rows, place)


def pinned_nodes(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Nodes that the pods of a template may run on, empty for any."""
    spec = template["spec"]
    if HOSTNAME in spec.get("nodeSelector", {}):
        return (spec["nodeSelector"][HOSTNAME],)
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return ()
    return tuple(required["nodeSelectorTerms"][0]["matchExpressions"][0]["values"])


def _variables(template: Mapping[str, Any]) -> dict[str, str]:
    """Variables of the first container that come from the pod's own fields."""
    env = template["spec"]["containers"][0]["env"]
    return {item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in env if "valueFrom" in item}


def _hosts_of_pins(
    counts: Sequence[int], nodes: Sequence[tuple[str, ...]], rows: Sequence[HostRow], place: Place
) -> list[str | None]:
    host_of = {name: row.host for row in rows for name in row.names}
    for name in (name for names in nodes for name in names):
        if name not in host_of:
            raise InputError(f"pods are pinned to {name}, which is not in the plan's table", place=place)
    pods: dict[frozenset[str], int] = {}  # hosts of a pin -> pods that share it
    for count, names in zip(counts, nodes, strict=True):
        own = frozenset(host_of[name] for name in names)
        pods[own] = pods.get(own, 0) + count
    taken = [host for own in pods for host in own]
    for own, count in pods.items():
        if own and (len(own) != count or len(set(taken)) != len(taken)):
            raise InputError(f"{count} pods are pinned to {len(own)} hosts of the plan", place=place)
    hosts: list[str | None] = []
    for count, names in zip(counts, nodes, strict=True):
        hosts += [host_of[names[0]]] if count == 1 and len(names) == 1 else [None] * count
    return hosts
