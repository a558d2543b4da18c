"""The step over torch.distributed's gloo: ``python gloo_step.py`` reads runs from stdin, one JSON object a line.

A run is {"namespaces": [of each rank], "master": address of rank 0, "port": N, "schedule": path, "steps": N}; each rank
is a fork of this process, which has torch already, in the namespace of its host. Connections are opened by a step of
short messages; the answer is one line, a JSON list of {phase: ms}, one a step: from the first rank that begins a phase
to the last that ends it, by the one clock that all ranks of this machine share. null: it failed.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import socket
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

torch: Any = importlib.import_module("torch")  # checked by mypy where it is installed only
dist: Any = importlib.import_module("torch.distributed")

CLONE_NEWNET = 0x40000000  # <linux/sched.h>
SHORT = 65536 // 4  # floats of the messages that open connections
PATIENCE = timedelta(seconds=120)


class Phase:
    """One phase of a step, as this rank plays it: pairs of peer and tensor, and a tensor for its ring."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.group: Any = None
        self.payload: Any = None
        self.sends: list[tuple[int, Any]] = []
        self.receives: list[tuple[int, Any]] = []

    def run(self, most: int | None = None) -> None:
        part = slice(most)
        work = [dist.irecv(data[part], source) for source, data in self.receives]
        work += [dist.isend(data[part], target) for target, data in self.sends]
        for item in work:
            item.wait()
        if self.group is not None:
            dist.all_reduce(self.payload[part], group=self.group)


def phases_of(schedule: str, rank: int) -> list[Phase]:
    phases: list[Phase] = []
    for line in schedule.splitlines():
        word, *rest = line.split()
        if word == "phase":
            phases.append(Phase(rest[0]))
            continue
        phase = phases[-1]
        numbers = [int(cell) for cell in rest]
        if word == "allreduce":
            group = dist.new_group(numbers[1:])  # every rank makes every group, in the same order
            if rank in numbers[1:]:
                phase.group, phase.payload = group, torch.zeros(numbers[0] // 4)
        else:
            source, target, size = numbers
            if source == rank:
                phase.sends.append((target, torch.zeros(size // 4)))
            if target == rank:
                phase.receives.append((source, torch.zeros(size // 4)))
    return phases


def play(run: dict[str, Any], rank: int) -> list[dict[str, float]]:
    """The steps of one rank, in this process."""
    namespace = os.open(f"/run/netns/{run['namespaces'][rank]}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {run['namespaces'][rank]}")
    os.environ["GLOO_SOCKET_IFNAME"] = "eth0"
    where = f"tcp://{run['master']}:{run['port']}"
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=len(run["namespaces"]), timeout=PATIENCE)
    phases = phases_of(Path(run["schedule"]).read_text(), rank)
    for phase in phases:
        phase.run(SHORT)
    steps = []
    for _ in range(run["steps"]):
        first, last = torch.zeros(2, len(phases), dtype=torch.float64)
        for i, phase in enumerate(phases):
            dist.barrier()
            first[i] = 1e3 * time.perf_counter()
            phase.run()
            last[i] = 1e3 * time.perf_counter()
        dist.all_reduce(first, op=dist.ReduceOp.MIN)
        dist.all_reduce(last, op=dist.ReduceOp.MAX)
        times = (last - first).tolist()
        steps.append({phase.name: round(ms, 3) for phase, ms in zip(phases, times, strict=True)})
    dist.barrier()
    return steps


def answer(run: dict[str, Any]) -> str:
    """Fork a process a rank and wait for all of them."""
    children = []
    reader, writer = os.pipe()
    for rank in range(len(run["namespaces"])):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                steps = play(run, rank)
                if rank == 0:
                    os.write(writer, (json.dumps(steps) + "\n").encode())
                code = 0
            except BaseException:  # a fork must never return into the parent's loop
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    codes = [os.waitpid(child, 0)[1] for child in children]
    return text.strip() if text and not any(codes) else json.dumps(None)


def main() -> None:
    torch.set_num_threads(1)
    assert socket.gethostname()  # resolver loaded before the forks
    for line in sys.stdin:
        print(answer(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
