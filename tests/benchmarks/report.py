"""Time and size of the report of a 16,384-GPU plan: ``python -m tests.benchmarks.report``.

Plans DeepSeek-V3 and Llama 3.1 405B, compute known, on 16,384 GPUs of a three-tier fabric with two leaves to spare
(plain orders only: the report does not care how the plan was found), then runs ``topoplan report`` as a process of its
own, with and without prices, as HTML and as PDF. Prints a Markdown table; targets: below 5 s and 10 MB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.cases import Case
from topoplan.model.compute import Compute
from topoplan.model.fabric import Fabric, Host
from topoplan.model.job import Batch, Parallel
from topoplan.planning.artefacts import plan_artefacts
from topoplan.planning.folder import save
from topoplan.planning.solve import SolveOptions, solve
from topoplan.solvers.ranks import RankParams

CASES = (
    Case("deepseek-v3", "deepseek-v3", Parallel(pp=16, dp=1024, ep=64), Batch(4096, 1, 60), "frag3"),
    Case("llama-3.1-405b", "llama-3.1-405b", Parallel(tp=8, pp=16, dp=128), Batch(8192, 1, 16), "frag3"),
)
PRICES = """\
apiVersion: topoplan/v1
kind: Prices
name: benchmark
gpu_hour: 2.5
nic: 1200
switch_port: 900
cable: 250
"""


def spare(fabric: Fabric) -> Fabric:
    """Fabric with 64 hosts more, below a leaf of their own in the last pod, so that a broken leaf is not the end."""
    first, last = len(fabric.hosts), len(fabric.groups)
    twins = [replace(fabric.groups[-1], name=f"leaf-spare-{i}") for i in range(2)]
    hosts = tuple(Host(f"node-{first + h}", 0, last + h // 32) for h in range(64))
    return replace(fabric, hosts=fabric.hosts + hosts, groups=(*fabric.groups, *twins))


def run(folder: Path, *options: str) -> tuple[float, float]:
    """CPU seconds and wall seconds of the command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", "from topoplan.cli import main; main()", "report", str(folder), *options]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - start


def main() -> None:
    """Measure and print."""
    print("| plan of 16,384 GPUs | report | CPU s | wall s | MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        prices = Path(place, "prices.yaml")
        prices.write_text(PRICES)
        for case in CASES:
            job = replace(case.job(), compute=Compute(flops_per_s=989e12))
            plan = solve(job, spare(case.fabric(1)), SolveOptions(params=RankParams(0)))
            folder = Path(place, case.name)
            save(str(folder), plan_artefacts(plan, job), {"command": "topoplan solve job.yaml"})
            for name, file, options in (
                ("HTML", "report.html", ()),
                ("HTML, prices", "report.html", ("--prices", str(prices))),
                ("PDF, prices", "report.pdf", ("--prices", str(prices), "--pdf")),
            ):
                cpu, wall = run(folder, *options)
                size = (folder / file).stat().st_size / 1e6
                print(f"| {case.name} | {name} | {cpu:.1f} | {wall:.1f} | {size:.2f} |", flush=True)


if __name__ == "__main__":
    main()
