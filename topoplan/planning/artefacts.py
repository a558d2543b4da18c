"""The files of a plan folder, as text and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from topoplan.errors import InputError
from topoplan.experts import get_format
from topoplan.files.arrays import load_bytes, traffic_bytes
from topoplan.files.fabric_text import format_fabric
from topoplan.files.job_text import format_job
from topoplan.files.plan_json import format_plan
from topoplan.launchers import LaunchFile, LaunchRequest, get_launcher, parse_settings, settings_of
from topoplan.model.fabric import Fabric
from topoplan.model.job import Job, stage_of_rank
from topoplan.model.plan import Plan

# Launcher -> file, and format of the topology writers, of the levels that --set topology=... speaks of.
_LEVELS = {"volcano": ("hypernodes.yaml", "hypernode"), "kueue": ("levels.yaml", "kueue")}


@dataclass(frozen=True, eq=False)
class Artefacts:
    """Content by path relative to the plan folder, and which paths are programs."""

    files: dict[str, str | bytes] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)

    def add(self, folder: str, made: Mapping[str, LaunchFile]) -> None:
        """Put a launcher's files into a folder ("" for the top)."""
        for name, file in made.items():
            path = f"{folder}/{name}" if folder else name
            self.files[path] = file.text
            if file.executable:
                self.executable.add(path)


def plan_artefacts(
    plan: Plan,
    job: Job | None,
    launchers: Iterable[str] = (),
    formats: Iterable[str] = (),
    hosts: Iterable[str] | None = None,
    settings: Iterable[str] = (),
) -> Artefacts:
    """Everything of a plan folder that depends on its inputs alone; run.json and the report come from the caller.

    Parameters
    ----------
    launchers, formats
        Launchers to write files for, and formats of expert maps.
    hosts
        The allocation that was planned within, None for the whole fabric.
    settings
        KEY=VALUE for launch files; each launcher gets those that it takes.

    Raises
    ------
    InputError
        No such launcher or format, or a setting that none of the launchers takes.
    InfeasibleError
        A launcher cannot make this placement.
    """
    result = Artefacts()
    result.files["plan.json"] = format_plan(plan)
    if plan.placement is not None:
        result.files["inputs/fabric.yaml"] = format_fabric(plan.placement.fabric)
        chosen = tuple(dict.fromkeys(launchers))
        values = parse_settings(settings, settings_of(chosen))
        for launcher in chosen:
            own = {key: value for key, value in values.items() if key in get_launcher(launcher).settings}
            result.add(f"launch/{launcher}", _write(plan, launcher, job, own))
    if hosts is not None:
        result.files["inputs/hosts.txt"] = "".join(f"{name}\n" for name in hosts)
    if job is not None:
        result.files.update(_job_inputs(job))
    if plan.experts is not None:
        result.files.update({f"experts/{name}": content for name, content in expert_files(plan, job, formats).items()})
    return result


def _job_inputs(job: Job) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {"inputs/job.yaml": format_job(job)}
    if job.traffic is not None:
        files["inputs/traffic.npz"] = traffic_bytes(job.traffic)
    if job.experts is not None and job.experts.load is not None:
        files["inputs/load.npy"] = load_bytes(job.experts.load)
    return files


def launch_files(plan: Plan, launcher: str, job: Job | None, settings: Iterable[str] = ()) -> dict[str, LaunchFile]:
    """Files of one launcher for a plan, by name; `settings` are KEY=VALUE texts, all of which it must take."""
    return _write(plan, launcher, job, parse_settings(settings, get_launcher(launcher).settings))


def _write(plan: Plan, launcher: str, job: Job | None, values: Mapping[str, Any]) -> dict[str, LaunchFile]:
    if plan.placement is None:
        raise InputError("this plan places experts only: there are no ranks to launch")
    stages = stage_of_rank(job)
    columns = {} if stages is None else {"stage": stages.tolist()}
    request = LaunchRequest(plan.placement, plan.job, columns=columns, spares=plan.spares, job=job, **values)
    made = get_launcher(launcher).write(request)
    if request.topology and launcher in _LEVELS:
        made = {**made, _LEVELS[launcher][0]: _levels(plan.placement.fabric, launcher)}
    return made


def _levels(fabric: Fabric, launcher: str) -> LaunchFile:
    """What an administrator gives the cluster once, so that a job may ask for levels of the network."""
    from topoplan.topologies.writers import write  # noqa: PLC0415 - for jobs that ask for them alone

    name, format_ = _LEVELS[launcher]
    use = f"# Used by an administrator, once for the cluster: kubectl apply --server-side -f {name}\n"
    use += "# It tells schedulers which nodes are near each other. No rank is ordered by it: pods look theirs up.\n"
    return LaunchFile(use + write(fabric, format_))


def expert_files(plan: Plan, job: Job | None, formats: Iterable[str]) -> dict[str, str | bytes]:
    """Expert maps of a plan by file name; several formats may be asked for."""
    assert plan.experts is not None
    layers = job.experts.moe_layers if job is not None and job.experts is not None else ()
    total = job.model.layers if job is not None and job.model is not None else 0
    files: dict[str, str | bytes] = {}
    for entry in map(get_format, dict.fromkeys(formats)):
        files.update(entry.write(plan.experts, moe_layers=layers, model_layers=total))
    return files
