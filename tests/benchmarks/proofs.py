"""How soon small jobs are proven: ``python -m tests.benchmarks.proofs [--hosts 64] [--work 60]``.

Jobs of rings, pipelines and expert groups on 32 (or 64) hosts of unequal leaves; every row is a plan with its proof.
"""

from __future__ import annotations

import argparse
import time

from tests.solvers.ranks.make import grid_job, make_fabric
from topoplan.solvers.ranks import ExactParams, RankParams, RankProblem, solve_ranks

# hosts of each leaf and leaves of a pod; (tp, dp, pp, ep) of jobs that fill them, two GPUs a host
LEAVES = {
    32: {
        "6,7 | 5,8 | 6": ([6, 7, 5, 8, 6], 2),
        "6,7,5,8,6": ([6, 7, 5, 8, 6], 5),
        "9,7,10,6": ([9, 7, 10, 6], 4),
        "3,5,4,6 | 2,7,5": ([3, 5, 4, 6, 2, 7, 5], 4),
        "11,9,12": ([11, 9, 12], 3),
        "17,15": ([17, 15], 2),
    },
    64: {
        "17,15,14,18": ([17, 15, 14, 18], 4),
        "13,9 | 16,11 | 15": ([13, 9, 16, 11, 15], 2),
        "32,32": ([32, 32], 2),
        "16,16 | 16,16": ([16, 16, 16, 16], 2),
        "7,9,8,10 | 6,9,8,7": ([7, 9, 8, 10, 6, 9, 8, 7], 4),
    },
}
SHAPES = {
    32: [(2, 4, 8), (2, 8, 4), (2, 16, 2), (2, 32, 1), (2, 16, 2, 8), (2, 8, 4, 4), (2, 4, 8, 8)],
    64: [(2, 8, 8), (2, 16, 4), (2, 32, 2, 8), (2, 16, 4, 16)],
}


def main() -> None:
    """Prove every case and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, choices=sorted(LEAVES), default=32)
    parser.add_argument("--work", type=float, default=10.0, help="budget of the proof, deterministic seconds")
    asked = parser.parse_args()
    print("| leaves | tp, dp, pp, ep | gap | CPU seconds |\n|---|---|---|---|")
    proven = count = 0
    for name, (leaves, per_pod) in LEAVES[asked.hosts].items():
        for shape in SHAPES[asked.hosts]:
            problem = RankProblem(make_fabric(leaves, per_pod), grid_job(*shape), objective="hop_bytes")
            start = time.process_time()
            found = solve_ranks(problem, RankParams(exact=ExactParams(blocks=asked.hosts, work=asked.work)))
            proof = found.certificate["hop_bytes"]
            gap = "proven" if proof.proven_optimal else f"{proof.gap:.1%}"
            print(f"| {name} | {', '.join(map(str, shape))} | {gap} | {time.process_time() - start:.1f} |", flush=True)
            proven, count = proven + proof.proven_optimal, count + 1
    print(f"\n{proven} of {count} proven")


if __name__ == "__main__":
    main()
