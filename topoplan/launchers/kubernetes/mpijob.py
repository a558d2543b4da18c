"""MPIJob v2beta1: the launcher asks each worker for its node over SSH, then maps ranks line by line.

The operator's own /etc/mpi/hostfile lists workers by pod index, which the scheduler puts on any node.
"""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods

_SSHD = ("/usr/sbin/sshd", "-De")


def _objects(job: KubernetesJob) -> list[Object]:
    pods = Pods(job, restart="")
    group = job.one_group("mpijob")
    kind = job.request.mpi or "OpenMPI"
    start = pods.bare_spec("launch", pods.program)
    start["containers"][0]["env"].append({"name": "TOPOPLAN_MPI", "value": kind})
    spec = {
        "slotsPerWorker": job.most_ranks,
        "mpiImplementation": kind,
        "launcherCreationPolicy": "WaitForWorkersReady",
        "runPolicy": {"backoffLimit": 0, "cleanPodPolicy": "Running"},
        "mpiReplicaSpecs": {
            "Launcher": {
                "replicas": 1,
                "restartPolicy": "Never",
                "template": {"metadata": {"labels": job.labels}, "spec": start},
            },
            "Worker": {
                "replicas": len(group.rows),
                "restartPolicy": "Never",
                "template": pods.template(group, "", "worker", _SSHD),
            },
        },
    }
    return [
        *pods.objects,
        {"apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "metadata": pods.metadata(), "spec": spec},
    ]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    worker = of_kind(objects, "MPIJob", path)["spec"]["mpiReplicaSpecs"]["Worker"]
    return [(int(worker["replicas"]), worker["template"])]


LAUNCHER = Kind(
    "mpijob",
    "MPIJob",
    _objects,
    _templates,
    "mpirun in the program, which reads the operator's hostfile (pod indices): give the program alone, topoplan's "
    "entry point starts mpirun",
    settings=("gang", "mpi"),
    mode="worker",
).launcher()
