"""LeaderWorkerSet v1: one group of pods, as inference engines run on several hosts."""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods


def _objects(job: KubernetesJob) -> list[Object]:
    pods = Pods(job, restart="")  # pods of stateful sets always start again
    group = job.one_group("leaderworkerset")
    spec = {
        "replicas": 1,
        "startupPolicy": "LeaderCreated",
        "leaderWorkerTemplate": {
            "size": len(group.rows),
            "restartPolicy": "RecreateGroupOnPodRestart",
            # The operator sets the variable in every pod; it is the address of the pod of index 0.
            "workerTemplate": pods.template(group, "$LWS_LEADER_ADDRESS"),
        },
    }
    main = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": pods.metadata(),
        "spec": spec,
    }
    return [*pods.objects, main]


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    spec = of_kind(objects, "LeaderWorkerSet", path)["spec"]
    template = spec["leaderWorkerTemplate"]
    return [(int(template["size"]) * int(spec.get("replicas", 1)), template["workerTemplate"])]


LAUNCHER = Kind(
    "leaderworkerset",
    "LeaderWorkerSet",
    _objects,
    _templates,
    "programs that take their rank from LWS_WORKER_INDEX; a program that ends is started again with all others, as "
    "this kind is made for servers",
).launcher()
