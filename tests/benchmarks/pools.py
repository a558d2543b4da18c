"""Choice of hosts in fragmented pools, against the usual rule: fullest leaves of the best single pod, then ordering.

`python -m tests.benchmarks.pools` prints a row for each job and objective. Both sides get the same ordering, so what
differs is the hosts. Pools have three times the hosts that the job needs, 6 to 29 of 32 free in each leaf.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from tests.benchmarks.cases import CASES, GPUS, LEAVES, Case
from topoplan.model.fabric import Fabric, IntArray
from topoplan.planning.solve import job_traffic
from topoplan.solvers.ranks import RankParams, RankProblem, solve_ranks
from topoplan.solvers.ranks.replan import key_of

SEEDS = range(1, 6)
SURPLUS = 3  # hosts of the pool for each that the job needs
JOBS = ("gpt3-1k frag", "qwen3-1k frag")
OBJECTIVES = ("exposed_ms", "hop_bytes")


def pool(case: Case, seed: int) -> Fabric:
    """A fragmented fabric with more hosts than the job of a case needs."""
    wide = replace(case.parallel, dp=SURPLUS * case.parallel.dp)
    return replace(case, kind="frag", parallel=wide).fabric(seed)


def fullest_leaves(fabric: Fabric, need: int) -> IntArray:
    """[need] int64 hosts of the usual rule: the pod with most hosts, its fullest leaves first; more pods as needed."""
    leaf, pod = fabric.host_ancestor[0], fabric.host_ancestor[1]
    in_leaf, in_pod = np.bincount(leaf), np.bincount(pod)
    order = np.lexsort((np.arange(len(leaf)), leaf, -in_leaf[leaf], pod, -in_pod[pod]))
    return np.asarray(np.sort(order[:need]), np.int64)


def compare(case: Case, seed: int, objective: str, params: RankParams) -> tuple[float, float]:
    """Objective with the hosts of the rule, and with hosts that topoplan chose."""
    job, fabric = case.job(), pool(case, seed)
    traffic = job_traffic(job, fabric)
    chosen = np.isin(np.arange(len(fabric.hosts)), fullest_leaves(fabric, job.ranks // GPUS))
    key = key_of(objective)
    problems = [RankProblem(fabric, traffic, allowed=hosts, objective=objective) for hosts in (chosen, None)]
    rule, ours = (key(solve_ranks(problem, params).prediction)[0] for problem in problems)
    return rule, ours


def main() -> None:
    """Print the table."""
    head = f"hosts of the fullest leaves (pods of {LEAVES} leaves) then ordering = 1; topoplan, mean (best .. worst)"
    sys.stdout.write(f"{head}\n")
    for name in JOBS:
        case = next(case for case in CASES if case.name == name)
        for objective in OBJECTIVES:
            pairs = [compare(case, seed, objective, RankParams(exact=None)) for seed in SEEDS]
            ratios = np.array([ours / rule for rule, ours in pairs])
            row = f"{name:16s} {objective:12s} {ratios.mean():.4f} ({ratios.min():.4f} .. {ratios.max():.4f})"
            sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
