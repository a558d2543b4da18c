"""A plan folder on disk: written whole, read back."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from topoplan import __version__
from topoplan.errors import InputError, Place, VerificationError
from topoplan.files.atomic import check_replaceable, write_folder
from topoplan.files.fabric_yaml import read_fabric_yaml
from topoplan.files.inputs import read_source
from topoplan.files.job_yaml import read_job
from topoplan.files.plan_json import parse_plan
from topoplan.launchers import LAUNCHERS, Difference, compare, get_launcher
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.planning.artefacts import Artefacts


@dataclass(frozen=True, eq=False)
class PlanFolder:
    """A plan read back, with its job, the folder it stands in, and the allocation it was planned within."""

    plan: Plan
    job: Job | None
    path: Path
    hosts: tuple[str, ...] | None = None


def check_target(folder: str, *, ranks: bool) -> None:
    """Refuse, before the work, a folder that a plan will not be written to.

    Besides what is no plan, that is one of the other kind: a plan of ranks has launch files, which a plan of experts
    alone would remove, as the first would the other's maps.

    Raises
    ------
    InputError
        Such a folder.
    """
    check_replaceable(folder)
    launch, experts = ((Path(folder) / name).is_dir() for name in ("launch", "experts"))
    if launch if not ranks else experts and not launch:
        held = "ranks" if launch else "experts alone"
        raise InputError(
            f"holds a plan of {held}, which this one would remove", place=Place(folder), hint="name another folder"
        )


def save(folder: str, contents: Artefacts, run: Mapping[str, Any]) -> None:
    """Write a plan folder, all of it or nothing.

    Parameters
    ----------
    run
        What differs from run to run (command, elapsed time, how it stopped); kept out of plan.json, in run.json.
    """
    about = {
        "topoplan": __version__,
        "python": platform.python_version(),
        "machine": platform.node(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **run,
    }
    files = {**contents.files, "run.json": json.dumps(about, indent=1) + "\n"}
    write_folder(folder, files, executable=contents.executable)


def open_plan(path: str) -> PlanFolder:
    """Plan of a plan.json or of the folder that holds one, with its canonical inputs beside it.

    Raises
    ------
    InputError
        No plan there, or its inputs are missing or do not fit it.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    file = folder / "plan.json" if Path(path).is_dir() else Path(path)
    source = read_source(file, limit=2**30)
    fabric_file, job_file = folder / "inputs" / "fabric.yaml", folder / "inputs" / "job.yaml"
    fabric = read_fabric_yaml(fabric_file) if fabric_file.exists() else None
    plan = parse_plan(source.text, fabric, source.shown)
    job = read_job(job_file).job if job_file.exists() else None
    hosts_file = folder / "inputs" / "hosts.txt"
    hosts = tuple(read_source(hosts_file).text.split()) if hosts_file.exists() else None
    return PlanFolder(plan, job, folder, hosts)


def launch_texts(folder: Path) -> dict[str, dict[str, str]]:
    """Launch files of a plan folder: launcher -> file name -> text."""
    found = {}
    for name in sorted(LAUNCHERS):
        place = folder / "launch" / name
        if place.is_dir():
            files = sorted(file for file in place.iterdir() if file.is_file())
            found[name] = {file.name: read_source(file, limit=2**30).text for file in files}
    return found


def verify_launch_files(opened: PlanFolder) -> dict[str, list[Difference]]:
    """Differences between the plan and the order that each launcher will make of its files; empty lists are good.

    Raises
    ------
    InputError
        The folder has no launch files.
    VerificationError
        Files that no launcher would take.
    """
    placement = opened.plan.placement
    if placement is None:
        raise InputError("this plan places experts only: there are no ranks to verify")
    texts = launch_texts(opened.path)
    if not texts:
        place = Place(str(opened.path / "launch"))
        raise InputError("no launch files", place=place, hint="write them with topoplan export PLAN --launcher NAME")
    return {name: _differences(placement, name, files) for name, files in texts.items()}


def _differences(placement: RankPlacement, name: str, files: Mapping[str, str]) -> list[Difference]:
    launcher = get_launcher(name)
    try:
        order = launcher.read(files)
    except InputError as error:
        # files that are broken, or that contradict each other, cannot make the plan
        raise VerificationError(
            f"{name}: {error}", hint=f"write them again: topoplan export --launcher {name}"
        ) from None
    return compare(placement, order, launcher)


def is_plan(path: Path) -> bool:
    """Whether a path is a plan folder or a plan file."""
    if (path / "plan.json").is_file():
        return True
    return path.is_file() and path.suffix == ".json" and not _is_topology(path)


def _is_topology(path: Path) -> bool:
    """Whether a reader of topologies takes a JSON file: LLDP, clouds, graphs and others come as JSON too."""
    from topoplan.topologies.formats import READERS  # noqa: PLC0415 - for JSON files alone
    from topoplan.topologies.reading import SNIFF_CHARS  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            head = file.read(SNIFF_CHARS).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return '"format_version"' not in head and any(reader.sniff(head) for reader in READERS)
