"""Our own short schemas of the custom resources that we write: the fields that we use, and no others.

Fields and types from the projects' API references, as of 2026:
https://pkg.go.dev/github.com/kubeflow/mpi-operator/pkg/apis/kubeflow/v2beta1,
https://pkg.go.dev/github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1,
https://pkg.go.dev/github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1,
https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2, https://lws.sigs.k8s.io/docs/reference/leaderworkerset.v1,
https://kueue.sigs.k8s.io/docs/reference/kueue.v1beta2, https://volcano.sh/en/docs/network_topology_aware_scheduling,
https://volcano.sh/en/docs/vcjob, https://github.com/kubernetes-sigs/scheduler-plugins (PodGroup) and NVIDIA's DRA
driver (ComputeDomain). Pod templates and Jobs inside are core objects, which kubernetes-validate knows: see `inside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.launchers.kubernetes.crd import METADATA, Schema

INT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
YES: Schema = {"type": "boolean"}
CORE: Schema = {"type": "object"}  # checked by itself


def record(required: str = "", **fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def top(spec: Schema) -> Schema:
    return record("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata=METADATA, spec=spec)


_REPLICA = record("replicas template", replicas=INT, restartPolicy=one_of("Never"), template=CORE)
_RUN = record(backoffLimit=INT, cleanPodPolicy=one_of("Running", "All", "None"))
_JOBSET = record(
    "replicatedJobs",
    network=record(enableDNSHostnames=YES, publishNotReadyAddresses=YES, subdomain=TEXT),
    failurePolicy=record(maxRestarts=INT),
    replicatedJobs=many(record("name template", name=TEXT, replicas=INT, template=CORE)),
)
TRIMMED: dict[tuple[str, str], Schema] = {
    ("kubeflow.org/v2beta1", "MPIJob"): top(
        record(
            "mpiReplicaSpecs",
            slotsPerWorker=INT,
            mpiImplementation=one_of("OpenMPI", "Intel", "MPICH"),
            launcherCreationPolicy=one_of("AtStartup", "WaitForWorkersReady"),
            runPolicy=_RUN,
            mpiReplicaSpecs=record("Launcher Worker", Launcher=_REPLICA, Worker=_REPLICA),
        )
    ),
    ("kubeflow.org/v1", "PyTorchJob"): top(
        record(
            "pytorchReplicaSpecs",
            nprocPerNode=TEXT,
            runPolicy=_RUN,
            pytorchReplicaSpecs=record("Master", Master=_REPLICA, Worker=_REPLICA),
        )
    ),
    ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime"): top(
        record("template", mlPolicy=record(numNodes=INT), template=record("spec", spec=_JOBSET))
    ),
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): top(
        record(
            "runtimeRef",
            runtimeRef=record("name", apiGroup=TEXT, kind=one_of("TrainingRuntime"), name=TEXT),
            trainer=record(numNodes=INT),
        )
    ),
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): top(_JOBSET),
    ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"): top(
        record(
            "leaderWorkerTemplate",
            replicas=INT,
            startupPolicy=one_of("LeaderCreated", "LeaderReady"),
            leaderWorkerTemplate=record(
                "workerTemplate",
                size=INT,
                restartPolicy=one_of("RecreateGroupOnPodRestart", "None"),
                workerTemplate=CORE,
            ),
        )
    ),
    ("batch.volcano.sh/v1alpha1", "Job"): top(
        record(
            "tasks",
            schedulerName=TEXT,
            minAvailable=INT,
            queue=TEXT,
            plugins={"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
            policies=many(record(action=TEXT, events=many(one_of("PodFailed", "PodEvicted")))),
            networkTopology=record(mode=one_of("hard", "soft"), highestTierAllowed=INT),
            tasks=many(record("name replicas template", name=TEXT, replicas=INT, template=CORE)),
        )
    ),
    ("topology.volcano.sh/v1alpha1", "HyperNode"): top(
        record(
            "tier members",
            tier=INT,
            members=many(
                record(
                    "type selector",
                    type=one_of("Node", "HyperNode"),
                    selector=record("exactMatch", exactMatch=record("name", name=TEXT)),
                )
            ),
        )
    ),
    ("kueue.x-k8s.io/v1beta2", "Topology"): top(record("levels", levels=many(record("nodeLabel", nodeLabel=TEXT)))),
    ("scheduling.x-k8s.io/v1alpha1", "PodGroup"): top(record("minMember", minMember=INT, scheduleTimeoutSeconds=INT)),
    ("resource.nvidia.com/v1beta1", "ComputeDomain"): top(
        record(
            "numNodes channel",
            numNodes=INT,
            channel=record("resourceClaimTemplate", resourceClaimTemplate=record("name", name=TEXT)),
        )
    ),
}


def inside(made: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Core objects that a custom one holds, each as if it stood alone."""
    spec = made["spec"]
    for replica in {**spec.get("mpiReplicaSpecs", {}), **spec.get("pytorchReplicaSpecs", {})}.values():
        yield _template(replica["template"])
    for task in spec.get("tasks", []):
        yield _template(task["template"])
    if "leaderWorkerTemplate" in spec:
        yield _template(spec["leaderWorkerTemplate"]["workerTemplate"])
    jobset = spec.get("template", {}).get("spec", spec)
    for job in jobset.get("replicatedJobs", []):
        yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, **job["template"]}


def _template(template: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "inside"}, "template": dict(template)}
