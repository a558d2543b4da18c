"""Run the scenarios of a study that no journal holds yet, and put all outcomes into one table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path

from topoplan.errors import InputError, TopoplanError
from topoplan.studies.evaluate import evaluate
from topoplan.studies.executors import LOCAL, executor, usual_workers
from topoplan.studies.journal import Journal, read_journals
from topoplan.studies.model import Scenario
from topoplan.studies.outcome import Outcome

AHEAD = 4  # scenarios a worker that wait with the executor: it never idles, and little is dropped at the end
CLUSTER_AHEAD = 256  # where the cluster's size is not ours to know

# Called after each scenario with how many are done, of how many, and the last outcome.
Progress = Callable[[int, int, Outcome | None], None]


def quiet(done: int, total: int, last: Outcome | None) -> None:
    """Progress that says nothing."""


def shard_of(scenarios: Sequence[Scenario], shard: tuple[int, int]) -> list[Scenario]:
    """Every n-th scenario from the i-th on (counted from 1), each key once: shards share no work and cost alike."""
    i, n = shard
    first = {scenario.key: scenario for scenario in reversed(scenarios)}
    ordered = sorted(first)  # by hash: slow fabrics spread over all shards
    mine = set(ordered[i - 1 :: n])
    return [
        scenario for scenario in dict.fromkeys(scenarios) if scenario.key in mine and first[scenario.key] is scenario
    ]


def run(
    scenarios: Sequence[Scenario],
    folder: str | Path,
    *,
    runner: str = LOCAL,
    workers: int | None = None,
    shard: tuple[int, int] = (1, 1),
    tell: Progress = quiet,
) -> dict[str, Outcome]:
    """Outcome by key of all scenarios of a shard: those that the journals of `folder` hold, and the others run now.

    Raises
    ------
    InputError
        The folder cannot be written, or another sweep is writing the same journal.
    SolverMissingError
        The executor's package is not installed.
    TopoplanError
        A worker died; what was finished is in the journal.
    """
    mine = shard_of(scenarios, shard)
    with Journal(folder, shard) as journal:
        known = read_journals([folder])
        found = {s.key: known[s.key] for s in mine if s.key in known}
        left = [s for s in mine if s.key not in found]
        tell(len(found), len(mine), None)
        for key, outcome in _outcomes(left, runner, workers):
            journal.add(key, outcome)
            found[key] = outcome
            tell(len(found), len(mine), outcome)
    return found


def merged(scenarios: Sequence[Scenario], folders: Sequence[str | Path]) -> dict[str, Outcome]:
    """Outcome by key of all scenarios, from journals alone.

    Raises
    ------
    InputError
        Some scenarios have not been run.
    """
    known = read_journals(folders)
    keys = dict.fromkeys(scenario.key for scenario in scenarios)
    lost = sum(key not in known for key in keys)
    if lost:
        raise InputError(
            f"{lost} of {len(keys)} scenarios have not been run",
            hint="run the shards that are missing, or the study again without --merge: it runs only what is left",
        )
    return {key: known[key] for key in keys}


def _outcomes(left: Sequence[Scenario], runner: str, workers: int | None) -> Iterator[tuple[str, Outcome]]:
    """Key and outcome of each scenario, as they finish."""
    if not left:
        return
    count = min(workers or usual_workers(), len(left))
    if runner == LOCAL and count == 1:
        yield from ((scenario.key, evaluate(scenario)) for scenario in left)
        return
    with executor(runner, count) as pool:
        ahead = AHEAD * count if runner == LOCAL else max(AHEAD * count, CLUSTER_AHEAD)
        try:
            yield from _pooled(pool, left, ahead)
        except BrokenExecutor:
            raise TopoplanError(
                "a worker process died, perhaps for want of memory",
                hint="run the same command again: it goes on from here",
            ) from None


def _pooled(pool: Executor, left: Sequence[Scenario], ahead: int) -> Iterator[tuple[str, Outcome]]:
    """Run scenarios with no more than `ahead` of them submitted at a time."""
    waiting: dict[Future[Outcome], str] = {}
    source = iter(left)
    while True:
        for scenario in itertools.islice(source, ahead - len(waiting)):
            waiting[pool.submit(evaluate, scenario)] = scenario.key
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()


def outcomes_of(scenarios: Sequence[Scenario], found: Mapping[str, Outcome]) -> list[Outcome]:
    """Outcome of each scenario, in their order."""
    return [found[scenario.key] for scenario in scenarios]
