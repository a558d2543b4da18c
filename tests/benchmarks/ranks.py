"""Rank placement beside the plain orders and whatever peers are installed: ``python -m tests.benchmarks.ranks``.

Prints a Markdown table; with --readme it replaces the one between the markers in README.md. Every placement, topoplan's
too, is priced by the Monte Carlo judge of this folder. Peers: ``apt install scotch``, ``pip install pymetis``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from tests.benchmarks.cases import CASES, GPUS, Case
from tests.benchmarks.judge import price
from tests.benchmarks.peers import PEERS
from tests.pages import README, write_part
from topoplan.planning.solve import job_traffic
from topoplan.solvers.ranks import RankProblem, solve_ranks

PART = "ranks benchmark"
HEAD = (
    "| case | linear | strings | random | Scotch | METIS | topoplan | above the bound | seconds |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def measure(case: Case, seed: int) -> str:
    """A row of the table: exposed ms of each order, the certificate's gap, and the solver's time."""
    fabric = case.fabric(seed)
    traffic = job_traffic(case.job(), fabric)
    leaf = fabric.host_group - int(fabric.host_group.min())
    blocks = np.arange(traffic.ranks) // GPUS
    local = np.arange(traffic.ranks) % GPUS
    hashed = case.routing != "adaptive"
    hosts = int(traffic.ranks // GPUS)
    orders = {
        "linear": np.arange(hosts),
        "strings": np.array(sorted(range(hosts), key=lambda h: f"node-{h}")),
        "random": np.random.default_rng(0).permutation(hosts),
    }
    found = {name: price(traffic, leaf, order[blocks], local, hashed=hashed) for name, order in orders.items()}
    for name, peer in PEERS.items():
        try:
            found[name] = price(traffic, leaf, peer(traffic, GPUS, leaf)[blocks], local, hashed=hashed)
        except (ImportError, FileNotFoundError):
            continue
    start = time.process_time()
    plan = solve_ranks(RankProblem(fabric, traffic))
    seconds = time.process_time() - start
    mine = price(traffic, leaf, fabric.gpu_host[plan.gpu], fabric.gpu_local[plan.gpu], hashed=hashed)
    cells = [f"{found[n]['exposed_ms']:,.1f}" if n in found else "-" for n in (*orders, *PEERS)]
    gap = plan.certificate["exposed_ms"].gap
    return f"| {case.name} | {' | '.join(cells)} | **{mine['exposed_ms']:,.1f}** | {gap:.1%} | {seconds:.1f} |"


def main() -> None:
    """Measure every case and print or store the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    args = parser.parse_args()
    rows = []
    for case in CASES:
        if args.only in case.name:
            rows.append(measure(case, args.seed))
            print(rows[-1], flush=True)
    if args.readme:
        write_part(README, PART, HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
