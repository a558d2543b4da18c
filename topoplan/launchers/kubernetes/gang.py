"""Gang groups: what tells each scheduler to start all pods of a job or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from topoplan.launchers.kubernetes.job import Group, KubernetesJob
from topoplan.launchers.kubernetes.manifest import Object

_WAIT_S = 600  # assumed: how long pods that were let in wait for the others
Resources = Callable[[Group], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Gang:
    """Labels and annotations of the pods, their scheduler, and objects that stand beside the job."""

    scheduler: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Callable[[Group], Mapping[str, str]] = lambda _group: {}
    objects: tuple[Object, ...] = ()


def gang_of(job: KubernetesJob, resources: Resources) -> Gang:
    """The gang that the request asks for; an empty one without."""
    return _GANGS[job.request.gang](job, resources)


def _none(_job: KubernetesJob, _resources: Resources) -> Gang:
    return Gang()


def _coscheduling(job: KubernetesJob, _resources: Resources) -> Gang:
    """scheduler-plugins' PodGroup: https://github.com/kubernetes-sigs/scheduler-plugins, pkg/coscheduling."""
    group = {
        "apiVersion": "scheduling.x-k8s.io/v1alpha1",
        "kind": "PodGroup",
        "metadata": job.metadata(),
        "spec": {"minMember": len(job.rows), "scheduleTimeoutSeconds": _WAIT_S},
    }
    return Gang("scheduler-plugins-scheduler", {"scheduling.x-k8s.io/pod-group": job.name}, objects=(group,))


def _yunikorn(job: KubernetesJob, resources: Resources) -> Gang:
    """Task groups in annotations: https://yunikorn.apache.org/docs/user_guide/gang_scheduling."""
    groups = [
        {
            "name": group.name,
            "minMember": len(group.rows),
            "minResource": {name: str(count) for name, count in resources(group).items()},
        }
        for group in job.groups()
    ]
    common = {
        "yunikorn.apache.org/task-groups": json.dumps(groups),
        "yunikorn.apache.org/schedulingPolicyParameters": (
            f"placeholderTimeoutInSeconds={_WAIT_S} gangSchedulingStyle=Hard"
        ),
    }
    labels = {"applicationId": job.name, "queue": job.request.queue or "root.default"}
    return Gang("yunikorn", labels, lambda group: {"yunikorn.apache.org/task-group-name": group.name, **common})


def _koordinator(job: KubernetesJob, _resources: Resources) -> Gang:
    """Annotations of its lightweight gangs: https://koordinator.sh/docs/designs/gang-scheduling."""
    count = str(len(job.rows))
    annotations = {
        "gang.scheduling.koordinator.sh/name": job.name,
        "gang.scheduling.koordinator.sh/min-available": count,
        "gang.scheduling.koordinator.sh/total-number": count,
    }
    return Gang("koord-scheduler", annotations=lambda _group: annotations)


_GANGS: Mapping[str, Callable[[KubernetesJob, Resources], Gang]] = {
    "": _none,
    "coscheduling": _coscheduling,
    "yunikorn": _yunikorn,
    "koordinator": _koordinator,
}
