"""TrainJob of Kubeflow Trainer v2 with a TrainingRuntime of its own, so that nothing depends on those of the cluster.

The runtime has no machine learning policy of its own but the number of nodes: that of torch would set ranks by pod
index.
"""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.indexed import indexed_job, replicated_jobs
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods

_API = "trainer.kubeflow.org/v1alpha1"
_NODE = "node"  # name that the trainer wants for the job and the container of ranks
_STEP = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


def _objects(job: KubernetesJob) -> list[Object]:
    pods = Pods(job, container=_NODE)
    group = job.one_group("trainjob")
    # Its JobSet is called like the TrainJob, and pods' hosts JOBSET-REPLICATEDJOB-JOB-POD.
    template = pods.template(group, f"{job.name}-{_NODE}-0-0.{job.name}")
    jobset = {
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "replicatedJobs": [
            {
                "name": _NODE,
                "replicas": 1,
                "template": {"metadata": {"labels": _STEP}, "spec": indexed_job(len(group.rows), template)},
            }
        ],
    }
    runtime = {
        "apiVersion": _API,
        "kind": "TrainingRuntime",
        "metadata": job.metadata(),
        "spec": {"mlPolicy": {"numNodes": len(group.rows)}, "template": {"spec": jobset}},
    }
    train = {
        "apiVersion": _API,
        "kind": "TrainJob",
        "metadata": pods.metadata(),
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": job.name},
            "trainer": {"numNodes": len(group.rows)},
        },
    }
    return [*pods.objects, runtime, train]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    nodes = int(of_kind(objects, "TrainJob", path)["spec"]["trainer"]["numNodes"])
    ((_, template),) = replicated_jobs(of_kind(objects, "TrainingRuntime", path)["spec"]["template"]["spec"])
    return [(nodes, template)]


LAUNCHER = Kind(
    "trainjob",
    "TrainJob",
    _objects,
    _templates,
    "a command or runtimeRef set in the TrainJob, which replaces topoplan's entry point, and by torchrun in the "
    "program: it is started once a rank",
).launcher()
