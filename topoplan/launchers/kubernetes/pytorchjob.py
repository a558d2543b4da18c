"""PyTorchJob v1: a master and workers, whose own RANK (master 0, worker i is i + 1) the entry point replaces."""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods


def _objects(job: KubernetesJob) -> list[Object]:
    pods = Pods(job, container="pytorch", restart="")  # the operator looks for a container of that name
    group = job.one_group("pytorchjob")
    counts = {"Master": 1, "Worker": len(group.rows) - 1}
    replicas = {
        role: {
            "replicas": count,
            "restartPolicy": "Never",
            "template": pods.template(group, f"{job.name}-master-0"),
        }
        for role, count in counts.items()
        if count
    }
    spec = {
        "nprocPerNode": str(job.most_ranks),
        "runPolicy": {"backoffLimit": 0, "cleanPodPolicy": "Running"},
        "pytorchReplicaSpecs": replicas,
    }
    return [
        *pods.objects,
        {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": pods.metadata(), "spec": spec},
    ]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    replicas = of_kind(objects, "PyTorchJob", path)["spec"]["pytorchReplicaSpecs"]
    return [(int(replicas[role]["replicas"]), replicas[role]["template"]) for role in ("Master", "Worker")
            if role in replicas]  # fmt: skip


LAUNCHER = Kind(
    "pytorchjob",
    "PyTorchJob",
    _objects,
    _templates,
    "torchrun in the program, which takes the operator's PET_NODE_RANK: the program is started once a rank, so it "
    "needs no torchrun",
).launcher()
