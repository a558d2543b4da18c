"""The pod template that all kinds share: the plan's program as entry point, GPUs and RDMA, pins, IMEX channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from topoplan.errors import InputError
from topoplan.launchers.kubernetes.gang import Gang, gang_of
from topoplan.launchers.kubernetes.job import Group, KubernetesJob, check_expressible
from topoplan.launchers.kubernetes.manifest import Object
from topoplan.launchers.kubernetes.tables import FOLDER, PROGRAM, config_maps, volume

HOSTNAME = "kubernetes.io/hostname"
ENTRY = ("python3", f"{FOLDER}/{PROGRAM}")
_GPU = "nvidia.com/gpu"  # of NVIDIA's device plugin
_NO_IMAGE = "example.invalid/set-image"
_NO_PROGRAM = ("sh", "-c", "echo 'no program: export again with --set program=...' >&2; exit 2")
_CLAIM = "imex-channel"
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_TOPOLOGY = "kueue.x-k8s.io/podset-{}-topology"  # required or preferred


@dataclass(frozen=True, eq=False)
class Pods:
    """Templates of a job's pods, and the objects that they need beside them.

    Parameters
    ----------
    container
        Name that the kind wants for its container.
    restart
        restartPolicy of the pods; "" where the kind sets it.
    kueue
        Whether Kueue may own the job: then its queue and topology become labels and annotations.
    """

    job: KubernetesJob
    container: str = "main"
    restart: str = "Never"
    kueue: bool = True

    def __post_init__(self) -> None:
        check_expressible(self.job)

    @cached_property
    def maps(self) -> list[Object]:
        """ConfigMaps of the plan."""
        return config_maps(self.job)

    @cached_property
    def gang(self) -> Gang:
        """What makes the scheduler start all pods or none."""
        return gang_of(self.job, self.resources)

    @property
    def objects(self) -> list[Object]:
        """What must exist before the pods."""
        return [*self.maps, *compute_domain(self.job), *self.gang.objects]

    def metadata(self) -> Object:
        """Metadata of the main object."""
        made = self.job.metadata()
        queue = self.job.request.queue
        if self.kueue and queue and self.job.request.gang != "yunikorn":
            made["labels"] = {**self.job.labels, _QUEUE_LABEL: queue}
        return made

    def resources(self, group: Group) -> dict[str, int]:
        """Extended resources of a pod, which it gets whole or not at all."""
        request = self.job.request
        found = {request.gpu_resource or _GPU: group.gpus}
        if request.rdma:
            name, _, count = request.rdma.partition(":")
            found[name] = int(count or 1)
        return found

    def template(self, group: Group, meet: str, mode: str = "run", command: tuple[str, ...] = ()) -> Object:
        """Pod template of a group.

        Parameters
        ----------
        meet
            Name of the pod of index 0, where pods meet; "" where they need not.
        mode, command
            How the entry point is started; `command` stands for the person's program.
        """
        annotations = {**self.gang.annotations(group), **self._topology()}
        metadata: Object = {"labels": {**self.job.labels, **self.gang.labels}}
        if annotations:
            metadata["annotations"] = annotations
        return {"metadata": metadata, "spec": self._spec(group, meet, mode, command or self.program)}

    @property
    def program(self) -> tuple[str, ...]:
        """What a rank runs."""
        return self.job.request.program or _NO_PROGRAM

    def _topology(self) -> dict[str, str]:
        how, _, label = self.job.request.topology.partition(":")
        if not self.kueue or not label:
            return {}
        if how not in ("required", "preferred"):
            raise InputError(
                f"--set topology={self.job.request.topology} is Volcano's; Kueue knows levels by labels of nodes",
                hint="use required:LABEL or preferred:LABEL",
            )
        return {_TOPOLOGY.format(how): label}

    def _spec(self, group: Group, meet: str, mode: str, command: tuple[str, ...]) -> Object:
        claims = [_CLAIM] if wide_islands(self.job) else []
        resources: Object = {"limits": self.resources(group)}
        if claims:
            resources["claims"] = [{"name": name} for name in claims]
        spec = self.bare_spec(mode, command, meet)
        spec["containers"][0]["resources"] = resources
        if self.job.request.rdma:  # registered memory is locked memory
            spec["containers"][0]["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
        spec["tolerations"] = [{"key": self.job.request.gpu_resource or _GPU, "operator": "Exists"}]
        if claims:
            template = self.job.name + "-channel"
            spec["resourceClaims"] = [{"name": name, "resourceClaimTemplateName": template} for name in claims]
        scheduler = self.job.request.scheduler or self.gang.scheduler
        if scheduler:
            spec["schedulerName"] = scheduler
        return {**spec, **_pin(group)}

    def bare_spec(self, mode: str, command: tuple[str, ...], meet: str = "") -> Object:
        """Pod spec without GPUs, as the launcher of an MPIJob is."""
        request = self.job.request
        mounts = [{"name": "topoplan", "mountPath": FOLDER, "readOnly": True}, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108
        spec: Object = {
            "containers": [
                {
                    "name": self.container,
                    "image": request.image or _NO_IMAGE,
                    "command": [*ENTRY, mode, *command],
                    "env": self._environment(meet),
                    "volumeMounts": mounts,
                }
            ],
            # NCCL shares memory in /dev/shm, of which containers have 64 MiB unless told otherwise.
            "volumes": [volume(self.maps), {"name": "shm", "emptyDir": {"medium": "Memory"}}],
        }
        if self.restart:
            spec["restartPolicy"] = self.restart
        if request.host_network:
            spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        return spec

    def _environment(self, meet: str) -> list[Object]:
        fields = {"HOST": "spec.nodeName", "POD": "metadata.name", "ADDRESS": "status.podIP"}
        request = self.job.request
        made: list[Object] = [
            {"name": f"TOPOPLAN_{name}", "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in fields.items()
        ]
        values = {"TOPOPLAN_MASTER_PORT": str(request.master_port)}
        if meet:
            port = request.master_port + 1 if request.master_port < 65535 else request.master_port - 1
            values["TOPOPLAN_MEET"] = f"{meet}:{port}"
        if request.nccl_topo_file:
            values["NCCL_TOPO_FILE"] = request.nccl_topo_file
        return made + [{"name": name, "value": value} for name, value in values.items()]


def _pin(group: Group) -> Object:
    if len(group.nodes) == 1:
        return {"nodeSelector": {HOSTNAME: group.nodes[0]}}
    if not group.nodes:
        return {}
    match = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": list(group.nodes)}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [match]}}
    return {"affinity": {"nodeAffinity": required}}


def wide_islands(job: KubernetesJob) -> int:
    """NVLink domains of the plan that span several of its hosts."""
    fabric = job.request.placement.fabric
    used = {fabric.host_index[row.host] for row in job.rows}
    return sum(len(used.intersection(island.hosts)) > 1 for island in fabric.islands)


def compute_domain(job: KubernetesJob) -> list[Object]:
    """NVIDIA's ComputeDomain where NVLink joins hosts, without which GPUs of other hosts cannot be reached over it.

    One for all pods: its driver forms an IMEX domain of the nodes of each NVLink clique (ComputeDomain reference of
    NVIDIA's DRA driver, resource.nvidia.com/v1beta1).
    """
    if not wide_islands(job):
        return []
    spec = {"numNodes": len(job.rows), "channel": {"resourceClaimTemplate": {"name": job.name + "-channel"}}}
    return [
        {
            "apiVersion": "resource.nvidia.com/v1beta1",
            "kind": "ComputeDomain",
            "metadata": job.metadata("-domain"),
            "spec": spec,
        }
    ]
