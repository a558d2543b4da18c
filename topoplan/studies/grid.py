"""From a study to its scenarios: every combination once, in the order of the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from topoplan import __version__
from topoplan.errors import InputError
from topoplan.studies.failures import failures
from topoplan.studies.model import FabricVariant, Failure, JobVariant, Scenario, Study

MAX_SCENARIOS = 200_000  # assumed: days of work, and more rows than a report can say anything of


def scenarios(study: Study) -> tuple[Scenario, ...]:
    """Scenarios of a study: by fabric, job, failure, order and what is done after the failure.

    Variants that are equal but for their names keep scenarios of their own, with the same keys.

    Raises
    ------
    InputError
        A failure that no fabric can have, or too many scenarios.
    """
    found: dict[tuple[int, int, str], Scenario] = {}
    for f, fabric in enumerate(study.fabrics):
        listed = tuple(failures(fabric.fabric, study.failures)) if fabric.fabric is not None else (Failure(),)
        for j, job in enumerate(study.jobs):
            for scenario in _of_pair(study, fabric, job, listed):
                found.setdefault((f, j, scenario.key), scenario)
                if len(found) > MAX_SCENARIOS:
                    raise InputError(
                        f"the study has more than {MAX_SCENARIOS} scenarios", hint="vary less, or split the study"
                    )
    return tuple(found.values())


def _of_pair(study: Study, fabric: FabricVariant, job: JobVariant, listed: tuple[Failure, ...]) -> Iterator[Scenario]:
    if job.job is None or fabric.fabric is None:
        listed = (Failure(),)  # one row says why, not one a failure
    for failure in listed:
        for order in study.orders:
            for after in study.after if failure.count else ("",):
                yield Scenario(
                    _key(study, fabric, job, order, failure, after),
                    fabric, job, order, study.search, study.seed, failure, after,
                )  # fmt: skip


def _key(study: Study, fabric: FabricVariant, job: JobVariant, order: str, failure: Failure, after: str) -> str:
    """Hash of what decides the result, topoplan's version included."""
    planned = order == "plan" or after == "replan"
    content = [
        __version__, fabric.digest, job.digest, order, study.search if planned else "", study.seed if planned else 0,
        list(failure.hosts), [list(pair) for pair in failure.uplinks], after,
    ]  # fmt: skip
    # variants that make nothing differ in what they were to be
    if fabric.fabric is None or job.job is None:
        content.append([fabric.name, dict(fabric.varied), job.name, dict(job.varied)])
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
