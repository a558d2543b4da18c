"""CPU time of pricing one placement of 8,192 ranks: the prices of hosts in order and of hosts at random.

    python -m tests.benchmarks.predict

Times are the median of warm calls in CPU time of this process (other load on the machine lengthens them too).
"""

from __future__ import annotations

from time import process_time

import numpy as np

from tests.benchmarks.cases import CASES, GPUS
from topoplan.cost.price import predict
from topoplan.model.fabric import Fabric, IntArray
from topoplan.model.job import CustomAxis, CustomCollective, Job
from topoplan.model.traffic import Traffic
from topoplan.planning.solve import job_traffic

CALLS = 9
NAMES = ("llama405-8k frag3", "deepseek-8k frag3")
# every rank of 64 sends to every other, as engines without DeepEP do: the most flows that a model of this size has
PLAIN = (("tp", 2, "all_gather"), ("ep", 64, "all_to_all"), ("dp", 4, "reduce_scatter"), ("pp", 16, "p2p"))


def jobs() -> dict[str, tuple[Job, Fabric]]:
    """Jobs of 8,192 ranks and their fabrics, by name."""
    known = {case.name: case for case in CASES}
    found = {name: (known[name].job(), known[name].fabric(1)) for name in NAMES}
    axes = tuple(CustomAxis(name, size, (CustomCollective(op, 1e9),)) for name, size, op in PLAIN)
    found["every copy sent, frag3"] = (Job("plain", 8192, axes=axes), known[NAMES[0]].fabric(1))
    return found


def orders(fabric: Fabric, ranks: int) -> dict[str, IntArray]:
    """GPU of each rank with hosts in order, and with hosts at random."""
    hosts = np.random.default_rng(0).permutation(ranks // GPUS)
    return {"in order": np.arange(ranks), "at random": (hosts[:, None] * GPUS + np.arange(GPUS)).ravel()}


def milliseconds(fabric: Fabric, traffic: Traffic, gpu: IntArray) -> float:
    """Median CPU time of a warm call."""
    predict(fabric, traffic, gpu)
    taken = []
    for _ in range(CALLS):
        start = process_time()
        predict(fabric, traffic, gpu)
        taken.append(1e3 * (process_time() - start))
    return float(np.median(taken))


def main() -> None:
    print(f"{'job':32}{'flows':>10}{'hosts':>12}{'CPU ms':>9}")
    for name, (job, fabric) in jobs().items():
        traffic = job_traffic(job, fabric)
        for order, gpu in orders(fabric, job.ranks).items():
            print(f"{name:32}{len(traffic.src):10,}{order:>12}{milliseconds(fabric, traffic, gpu):9.0f}")


if __name__ == "__main__":
    main()
