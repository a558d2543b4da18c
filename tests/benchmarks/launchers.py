"""Time that the files of each launcher take for a job of 16,384 ranks: ``python -m tests.benchmarks.launchers``.

The plan is on a folder, 2,048 hosts of 8 GPUs in random order with GPUs in random order inside. Each launcher is timed
as `topoplan export` does it once the plan is read: files made, then written one by one. Times are of the processor
(user and system), which other work on a machine changes less than the wall's, which stand beside. The last line is what
the file system takes for as many empty files as torchrun and accelerate have; TMPDIR chooses another one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from topoplan.files.atomic import write_file
from topoplan.launchers import LAUNCHERS, Launcher, LaunchFile, LaunchRequest
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.job import Job, Parallel
from topoplan.model.placement import RankPlacement

HOSTS, GPUS = 2048, 8
LIMIT_S = 2.0  # what the project promises for 16,384 ranks


def request() -> LaunchRequest:
    """A job with all that files can carry: parallel axes, named NICs, stages of ranks."""
    nics = tuple(Nic(g, 5e10, g, f"mlx5_{g}") for g in range(GPUS))
    kind = HostType("hgx", GPUS, nics, GPUS, 4.5e11)
    hosts = tuple(Host(f"gpu-{h}.pod-{h // 256}.cluster.example", 0) for h in range(HOSTS))
    fabric = Fabric("large", "ecmp", (kind,), hosts)
    generator = np.random.default_rng(0)
    inside = generator.permuted(np.tile(np.arange(GPUS), (HOSTS, 1)), axis=1)
    placement = RankPlacement(fabric, (generator.permutation(HOSTS)[:, None] * GPUS + inside).ravel())
    job = Job("large", HOSTS * GPUS, parallel=Parallel(tp=8, pp=16, dp=128, ep=64))
    stage = np.repeat(np.arange(16), HOSTS * GPUS // 16).tolist()
    return LaunchRequest(placement, "large", job=job, columns={"stage": stage})


def write(files: Mapping[str, LaunchFile], folder: Path) -> None:
    """As `topoplan export` writes them."""
    for name, file in files.items():
        write_file(folder / name, file.text)
        if file.executable:
            (folder / name).chmod(0o755)


def processor_s() -> float:
    """Seconds that this process has used, in user and system mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(launcher: Launcher, asked: LaunchRequest) -> tuple[float, float, float, int, int]:
    """Seconds of making, of making and writing, of the wall; files; bytes."""
    with tempfile.TemporaryDirectory() as folder:
        wall, start = time.perf_counter(), processor_s()
        files = launcher.write(asked)
        made = processor_s()
        write(files, Path(folder))
        done = processor_s()
        wall = time.perf_counter() - wall
    return made - start, done - start, wall, len(files), sum(len(file.text) for file in files.values())


def empty_files_s() -> float:
    """Processor's seconds of making an empty file a host."""
    with tempfile.TemporaryDirectory() as folder:
        start = processor_s()
        for number in range(HOSTS):
            Path(folder, f"{number}").touch()
        return processor_s() - start


def main() -> int:
    """Print the table; 1 when a launcher is beyond the limit."""
    asked = request()
    rows = {name: measure(launcher, asked) for name, launcher in LAUNCHERS.items()}
    print(f"files for {asked.placement.ranks:,} ranks on {HOSTS:,} hosts, seconds")
    print(f"{'launcher':<18}{'made':>8}{'written':>9}{'wall':>8}{'files':>8}{'MB':>7}")
    for name, (made, written, wall, files, size) in rows.items():
        print(f"{name:<18}{made:8.2f}{written:9.2f}{wall:8.2f}{files:8,}{size / 1e6:7.1f}")
    print(f"{'empty files':<18}{'':>8}{empty_files_s():9.2f}{'':>8}{HOSTS:8,}")
    slow = [name for name, row in rows.items() if row[1] > LIMIT_S]
    total = sum(row[1] for row in rows.values())
    print(f"all {len(rows)}: {total:.2f} s; beyond {LIMIT_S:g} s: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
