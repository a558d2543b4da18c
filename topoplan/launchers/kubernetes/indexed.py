"""batch/v1 Jobs with indexed pods, alone or inside JobSets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topoplan.launchers.kubernetes.kind import Template
from topoplan.launchers.kubernetes.manifest import Object


def indexed_job(count: int, template: Object) -> Object:
    """Spec of a Job of `count` pods that all run at once; it fails with the first of them."""
    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": 0,
        "template": template,
    }


def job_template(spec: Mapping[str, Any]) -> Template:
    """Pods and their template of a Job's spec."""
    return int(spec["parallelism"]), spec["template"]


def replicated_jobs(spec: Mapping[str, Any]) -> list[Template]:
    """Pods and their templates of a JobSet's spec."""
    found = []
    for replicated in spec["replicatedJobs"]:
        count, template = job_template(replicated["template"]["spec"])
        found.append((count * int(replicated.get("replicas", 1)), template))
    return found
