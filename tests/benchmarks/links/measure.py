"""Measure cells and keep what was found: every order of a cell, launched again in every round."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.links.cells import MTU, NIC_MBIT, Case, Cell
from tests.benchmarks.links.runners import RunError, Runner
from tests.lab.netlab import Lab

# Bytes that a socket holds. With small, equal windows flows share a link evenly, as on the lossless networks that the
# model is of; `--window` tries others. What windows change is an all-to-all that NICs hold back: queues of senders are
# first in, first out, so a window that waits for one receiver stands before what goes to others (8x2 contiguous 1:1,
# predicted 171 ms: 172 with 16 KiB, 189 with 64, 213 with 256). With 16 KiB a flow alone does not fill a link any
# more (8x2 interleaved 4:1: dp 5 % late).
WINDOW = 65536
TRIES = 3


class Results:
    """Records by cell in a JSON file, written after every launch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def rounds(self, cell: Cell, transport: str) -> int:
        """How often every order of the cell was launched."""
        launches = self.cells.get(str(cell), {}).get("launches", {}).get(transport, {})
        return min((len(found) for found in launches.values()), default=0)

    def add(self, case: Case, transport: str, order: str, launch: dict[str, Any]) -> None:
        """Keep a launch."""
        kept = self.cells.setdefault(str(case.cell), {**_known(case), "launches": {}})
        kept["launches"].setdefault(transport, {}).setdefault(order, []).append(launch)

    def write(self) -> None:
        """Write the file, a line a launch."""
        cells = []
        for name, cell in sorted(self.cells.items()):
            rows = [json.dumps(key) + ": " + json.dumps(cell[key], sort_keys=True) for key in sorted(cell)
                    if key != "launches"]  # fmt: skip
            runs = [
                f"{json.dumps(transport)}: {{" + ", ".join(
                    f"{json.dumps(order)}: [\n   " + ",\n   ".join(json.dumps(launch) for launch in found) + "]"
                    for order, found in sorted(orders.items())
                ) + "}"
                for transport, orders in sorted(cell["launches"].items())
            ]  # fmt: skip
            rows.append('"launches": {\n  ' + ",\n  ".join(runs) + "}")
            cells.append(json.dumps(name) + ": {\n " + ",\n ".join(rows) + "}")
        self.path.write_text("{" + ",\n".join(cells) + "}\n")


def _known(case: Case) -> dict[str, Any]:
    """What is known of a cell before it is measured."""
    forecasts = {order: case.forecast(order) for order in case.orders}
    return {
        "cell": asdict(case.cell),
        "same": case.same,
        "predicted": {o: {axis: round(ms, 3) for axis, ms in f.ms.items()} for o, f in forecasts.items()},
        "uplink_bound": {order: list(forecast.uplink_bound) for order, forecast in forecasts.items()},
    }


def measure(
    cells: Sequence[Cell],
    runners: Sequence[Runner],
    results: Results,
    rounds: int,
    steps: int,
    folder: Path,
    window: int = WINDOW,
) -> Iterator[str]:
    """Measure what is not measured yet, a round after the other, all orders of a cell in turn; yields a line a cell."""
    cases: dict[Cell, Case] = {}
    for number in range(rounds):
        for _, like in itertools.groupby(cells, key=Cell.rack_of):
            due = [(cell, runner) for cell in like for runner in runners if results.rounds(cell, runner.name) <= number]
            if not due:
                continue
            with opened(due[0][0], folder, window) as lab:
                for cell, runner in due:
                    case = cases.setdefault(cell, Case.of(cell))
                    lab.shape(_rate(cell.uplink_mbit), _rate(NIC_MBIT))
                    yield _measure(case, runner, lab, results, steps)
                    results.write()


def opened(cell: Cell, folder: Path, window: int = WINDOW) -> Lab:
    """A lab of a cell's hosts and links; a context manager. `window` 0 leaves the kernel's own."""
    # reno is in every kernel and allowed in every namespace, and within its first ten packets does nothing (RFC 6928)
    sockets = {"tcp_congestion_control": "reno"}
    if window:
        sockets |= {f"tcp_{end}mem": f"4096 {window} {window}" for end in "rw"}
    return Lab(cell.rack_of(), folder, _rate(cell.uplink_mbit), _rate(NIC_MBIT), MTU, sockets)


def _rate(mbit: float) -> str:
    return f"{mbit:g}mbit"


def _measure(case: Case, runner: Runner, lab: Lab, results: Results, steps: int) -> str:
    told = []
    for order in case.orders:
        if case.same[order] == order:
            launch = launched(case, runner, lab, order, steps)
            results.add(case, runner.name, order, launch)
            ms = [sum(step.values()) for step in launch["steps"]]
            told.append(f"{order} {np.median(ms):.0f} ms")
    return f"{case.cell} {runner.name}: {', '.join(told)}"


def launched(case: Case, runner: Runner, lab: Lab, order: str, steps: int) -> dict[str, Any]:
    """One launch of an order: ms of its steps by axis, and the share of the time that this machine's cores idled."""
    for attempt in range(1, TRIES + 1):
        began = cpu_times()
        try:
            found = runner.run(lab, case.traffic, case.orders[order], order, steps)
            break
        except (RunError, TimeoutError) as error:
            if attempt == TRIES:
                raise
            print(f"again: {error}", flush=True)
    idle, passed = cpu_times() - began
    return {"steps": found, "idle": round(idle / passed, 3)}


def cpu_times() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Idle and all time of this machine's cores so far, in ticks (proc(5): the first line of /proc/stat)."""
    ticks = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return np.array([ticks[3] + ticks[4], sum(ticks)], float)
