"""Volcano Job v1alpha1: a gang of all pods (minAvailable), names and SSH keys for them, and its network topology.

networkTopology counts tiers of HyperNodes, which an administrator makes from the fabric once: topoplan import FABRIC
--to hypernode.
"""

from __future__ import annotations

from collections.abc import Sequence

from topoplan.errors import InputError
from topoplan.launchers.kubernetes.job import KubernetesJob
from topoplan.launchers.kubernetes.kind import Kind, Template
from topoplan.launchers.kubernetes.manifest import Object, of_kind
from topoplan.launchers.kubernetes.pods import Pods


def _objects(job: KubernetesJob) -> list[Object]:
    pods, groups = Pods(job, kueue=False), job.groups()
    # The svc plugin names pods' hosts JOB-TASK-INDEX, in the subdomain JOB.
    meet = f"{job.name}-{groups[0].name}-0.{job.name}"
    spec: Object = {
        "schedulerName": job.request.scheduler or "volcano",
        "minAvailable": len(job.rows),
        "queue": job.request.queue or "default",
        "plugins": {"env": [], "ssh": [], "svc": ["--publish-not-ready-addresses=true"]},
        "policies": [{"events": ["PodFailed", "PodEvicted"], "action": "AbortJob"}],
        **_topology(job.request.topology),
        "tasks": [
            {"name": group.name, "replicas": len(group.rows), "template": pods.template(group, meet)}
            for group in groups
        ],
    }
    main = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": pods.metadata(), "spec": spec}
    return [*pods.objects, main]


def _topology(text: str) -> Object:
    mode, _, tier = text.partition(":")
    if not text:
        return {}
    if mode not in ("hard", "soft"):
        raise InputError(
            f"--set topology={text[:80]!r} is Kueue's; Volcano counts tiers of HyperNodes",
            hint="use hard:TIER or soft:TIER, 1 being that of the leaves",
        )
    return {"networkTopology": {"mode": mode, "highestTierAllowed": int(tier)}}


def _templates(objects: Sequence[Object], path: str) -> list[Template]:
    tasks = of_kind(objects, "Job", path)["spec"]["tasks"]
    return [(int(task["replicas"]), task["template"]) for task in tasks]


LAUNCHER = Kind(
    "volcano",
    "Volcano Job",
    _objects,
    _templates,
    "programs that take their rank from VC_TASK_INDEX or the order of VC_..._HOSTS, which follow pod indices",
    settings=(),
).launcher()
