"""Kueue: an indexed Job in a queue. Its topology-aware scheduling takes a level of the network, never an order.

https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling: the annotations podset-required-topology and
podset-preferred-topology name the level whose domain shall hold all pods; without either, pods may lie anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.indexed import indexed_job, job_template
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods

_QUEUE = "kueue.x-k8s.io/queue-name"
_ANYWHERE = "kueue.x-k8s.io/podset-unconstrained-topology"


def _objects(job: KubernetesJob) -> list[Object]:
    pods = Pods(job)
    group = job.one_group("a Job in Kueue")
    template = pods.template(group, f"{job.name}-0.{job.name}")  # an indexed Job calls its pods' hosts JOB-INDEX
    template["spec"]["subdomain"] = job.name
    if not job.request.topology:
        template["metadata"].setdefault("annotations", {})[_ANYWHERE] = "true"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": job.metadata(),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": job.name},
        },
    }
    metadata = pods.metadata()
    metadata["labels"].setdefault(_QUEUE, "default")  # LocalQueue that Kueue itself takes for the default
    spec = {"suspend": True, **indexed_job(len(group.rows), template)}
    return [*pods.objects, service, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    return [job_template(of_kind(objects, "Job", path)["spec"])]


LAUNCHER = Kind(
    "kueue",
    "Job in a queue of Kueue",
    _objects,
    _templates,
    "programs that take RANK from JOB_COMPLETION_INDEX: Kueue gives indices to nodes in the order of its topology, "
    "which sorts names as text",
    settings=(),
).launcher()
