"""Time of a sweep of 1,000 scenarios at 1,024 GPUs: ``python -m tests.benchmarks.sweep [--workers N] [--runner NAME]``.

A grid of fabric parameters, layouts of a job, orders of hosts and failures, each scenario priced by its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter

from topoplan.studies.executors import EXECUTORS, LOCAL, usual_workers
from topoplan.studies.grid import scenarios
from topoplan.studies.read import parse_study
from topoplan.studies.sweep import run

LIMIT_S = 600  # what the project promises on two processors
STUDY = """\
apiVersion: topoplan/v1
kind: Study
name: a thousand
fabrics:
  - topology: "meta-roce-24k:pods=4,racks=20"
    vary: {oversubscription.top: [1, 2, 4, 7], routing: [ecmp, adaptive]}
jobs:
  - name: deepseek-v3
    job:
      model: deepseek-v3
      parallel: {tp: 1, pp: 16, dp: 64, ep: 64}
      batch: {sequence: 4096, micro_batch: 1, micro_batches: 60}
    vary: {parallel.ep: [8, 16, 32, 64]}
  - name: llama-3.1-405b
    job:
      model: llama-3.1-405b
      parallel: {tp: 8, pp: 16, dp: 8}
      batch: {sequence: 8192, micro_batch: 1, micro_batches: 16}
orders: [linear, plan]
failures: [none, {random: host, count: [1, 4], draws: 3}]
after: [keep, replan]
"""


def main() -> None:
    """Run the study in a new folder and print how long that takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=usual_workers())
    parser.add_argument("--runner", choices=list(EXECUTORS), default=LOCAL)
    chosen = parser.parse_args()
    grid = scenarios(parse_study(STUDY, "sweep"))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = run(grid, folder, runner=chosen.runner, workers=chosen.workers)
        seconds = time.perf_counter() - begin
    states = Counter(outcome.status for outcome in found.values())
    ranks = {outcome.ranks for outcome in found.values()}
    print(f"{len(grid):,} scenarios ({dict(states)}) of {ranks} ranks in {seconds:.1f} s, at most {LIMIT_S} s")


if __name__ == "__main__":
    main()
