"""A sweep gives the same table whatever ran it and however often it was stopped, and runs nothing twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.studies.make import STUDY, grid_of, write
from topoplan.errors import InputError, SolverMissingError
from topoplan.studies import executors
from topoplan.studies.journal import Journal, journal_name, read_journals
from topoplan.studies.model import Scenario
from topoplan.studies.outcome import ERROR, OK, Outcome
from topoplan.studies.sweep import merged, outcomes_of, run, shard_of
from topoplan.studies.table import table, to_csv

SHORT = STUDY.replace(", {each: leaf}, {random: host, count: [1, 2], draws: 2}", "")


def text_of(grid: tuple[Scenario, ...], found: dict[str, Outcome]) -> str:
    return to_csv(table(grid, found))


def keys_written(folder: Path) -> Counter[str]:
    return Counter(
        json.loads(line.rpartition(" ")[0])["key"]
        for path in folder.glob("journal*.jsonl")
        for line in path.read_text().splitlines()
    )


def test_shards_merged_are_the_whole(tmp_path: Path) -> None:
    grid = grid_of(STUDY, tmp_path)
    whole = run(grid, tmp_path / "whole", workers=1)
    assert {o.status for o in whole.values()} == {"ok", "invalid", "infeasible"}
    for i in (1, 2, 3):
        run(grid, tmp_path / f"part{i % 2}", workers=1, shard=(i, 3))
        if i < 3:
            with pytest.raises(InputError, match="have not been run"):
                merged(grid, [tmp_path / "part0", tmp_path / "part1"])
    parts = merged(grid, [tmp_path / "part0", tmp_path / "part1"])
    assert text_of(grid, parts) == text_of(grid, whole)
    assert outcomes_of(grid, parts) == outcomes_of(grid, whole)
    shards = [shard_of(grid, (i, 3)) for i in (1, 2, 3)]
    assert Counter(s.key for shard in shards for s in shard) == Counter({s.key: 1 for s in grid})


def test_one_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    grid = grid_of(SHORT, tmp_path)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int, last: Outcome | None) -> None:
        seen.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(grid, tmp_path / "stopped", workers=1, tell=stop)
    seen.clear()
    found = run(grid, tmp_path / "stopped", workers=1, tell=lambda d, t, _: seen.append((d, t)))
    assert seen[0] == (5, len(grid))
    assert len(seen) == 1 + len(grid) - 5
    assert set(keys_written(tmp_path / "stopped").values()) == {1}
    assert text_of(grid, found) == text_of(grid, run(grid, tmp_path / "whole", workers=1))


def test_lines_that_are_not_whole_are_run_again(tmp_path: Path) -> None:
    grid = grid_of(SHORT, tmp_path)
    folder = tmp_path / "out"
    first = run(grid, folder, workers=1)
    path = folder / journal_name()
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = [
        lines[0].replace(b'"ok"', b'"no"'),  # its checksum says so
        b"\xff\x00 garbage\n",
        b"[" * 5000 + b" 0\n",
        *lines[2:-1],
        lines[-1][:-7],  # killed while writing
    ]
    path.write_bytes(b"".join(damaged))
    again: list[int] = []
    found = run(grid, folder, workers=1, tell=lambda d, t, o: again.append(d))
    assert again == list(range(len(grid) - 3, len(grid) + 1))
    assert text_of(grid, found) == text_of(grid, first)
    assert read_journals([folder]) == found


def test_a_defect_is_tried_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", Outcome(ERROR, "a defect"))
        journal.add("b", Outcome(OK))
    assert set(read_journals([tmp_path])) == {"b"}


def test_one_sweep_at_a_time_in_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(InputError, match="another sweep"), Journal(tmp_path):
        pass
    with Journal(tmp_path, (1, 2)), Journal(tmp_path, (2, 2)):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), Journal(tmp_path / "file"):
        pass


@pytest.mark.slow
def test_a_killed_sweep_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL at several moments, in the middle of work in two processes."""
    study = write(tmp_path)
    command = [sys.executable, "-m", "topoplan", "sweep", str(study), "--workers", "2", "--no-report", "--out"]
    folder = tmp_path / "killed"
    for lines in (1, 7, 20):
        with subprocess.Popen([*command, str(folder)], stderr=subprocess.DEVNULL, start_new_session=True) as process:
            end = time.monotonic() + 300
            while process.poll() is None and sum(keys_written(folder).values()) < lines:
                assert time.monotonic() < end
                time.sleep(0.002)
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(process.pid, signal.SIGKILL)
    subprocess.run([*command, str(folder)], check=True, capture_output=True)
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    assert (folder / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    assert set(keys_written(folder).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "dask", "ray"])
def test_whoever_runs_it_the_table_is_the_same(tmp_path: Path, runner: str) -> None:
    if runner != "local":
        pytest.importorskip({"dask": "distributed"}.get(runner, runner), reason=f"{runner} is not installed")
    grid = grid_of(SHORT, tmp_path)
    alone = run(grid, tmp_path / "alone", workers=1)
    assert text_of(grid, run(grid, tmp_path / runner, runner=runner, workers=2)) == text_of(grid, alone)


def test_executors_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="executors: local, ray, dask"), executors.executor("slurm", 2):
        pass
    for name, module in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(SolverMissingError, match=rf"topoplan\[{name}\]"), executors.executor(name, 2):
            pass
