"""JobSet v1alpha2: one replicated job for each number of GPUs, or with pin=index for each host."""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.indexed import indexed_job, replicated_jobs
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods


def _objects(job: KubernetesJob) -> list[Object]:
    pods, groups = Pods(job), job.groups()
    # JobSet names its pods' hosts JOBSET-REPLICATEDJOB-JOB-POD, in the subdomain JOBSET.
    meet = f"{job.name}-{groups[0].name}-0-0.{job.name}"
    spec = {
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "failurePolicy": {"maxRestarts": 0},
        "replicatedJobs": [
            {
                "name": group.name,
                "replicas": 1,
                "template": {"spec": indexed_job(len(group.rows), pods.template(group, meet))},
            }
            for group in groups
        ],
    }
    return [
        *pods.objects,
        {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": pods.metadata(), "spec": spec},
    ]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    return replicated_jobs(of_kind(objects, "JobSet", path)["spec"])


LAUNCHER = Kind(
    "jobset",
    "JobSet",
    _objects,
    _templates,
    "programs that take RANK from JOB_COMPLETION_INDEX or start torchrun themselves, and by topoplan's entry point "
    "being left out of the command",
).launcher()
