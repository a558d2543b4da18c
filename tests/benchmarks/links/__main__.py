"""Does placement matter, on real links: shaped NICs and uplinks, Open MPI and gloo, measured beside what is predicted.

    python -m tests.benchmarks.links [--only TEXT] [--transport NAME] [--rounds N] [--steps N] [--readme]

Needs root, ``apt install libopenmpi-dev openmpi-bin`` and torch beside this interpreter or TOPOPLAN_TORCHRUN. What was
measured is kept in results.json of this folder and not measured again (--results FILE: another file, so another run);
--readme writes tables and figure from it. All of it takes about 30 minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.links.cells import TRANSPORTS, all_cells
from tests.benchmarks.links.measure import WINDOW, Results, measure
from tests.benchmarks.links.runners import Gloo, OpenMpi, Runner
from tests.lab.netlab import why_no_lab
from tests.lab.tools import find

PRIORITY = -10  # ranks that wait for a processor would make links look slow: others on this machine come second
HERE = Path(__file__).parent


def main() -> None:
    """Measure what is missing, print a line a cell, and write the pages on demand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help='cells whose name, such as "8x2 interleaved 4:1", contains this')
    parser.add_argument("--transport", choices=TRANSPORTS, action="append", help="may be repeated; default: both")
    parser.add_argument("--rounds", type=int, default=3, help="launches of every order")
    parser.add_argument("--steps", type=int, default=2, help="steps of a launch")
    parser.add_argument("--window", type=int, default=WINDOW, help="bytes that a socket holds; 0: the kernel's own")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument(
        "--readme", action="store_true", help="write tables and figure into README.md and docs/measured.md"
    )
    args = parser.parse_args()
    results = Results(args.results)
    cells = [cell for cell in all_cells() if args.only in str(cell)]
    transports = args.transport or list(TRANSPORTS)
    if any(results.rounds(cell, transport) < args.rounds for cell in cells for transport in transports):
        reason = why_no_lab()
        if reason:
            sys.exit(f"no lab: {reason}")
        os.nice(PRIORITY)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="links")))
            runners = [_runner(name, folder, stack) for name in transports]
            for line in measure(cells, runners, results, args.rounds, args.steps, folder, args.window):
                print(line, flush=True)
    if args.readme:
        from tests.benchmarks.links.show import write_pages

        write_pages(results.cells)


def _runner(name: str, folder: Path, stack: contextlib.ExitStack) -> Runner:
    if name == "openmpi":
        return OpenMpi(folder)
    torchrun = find("torchrun", "TOPOPLAN_TORCHRUN")
    if not torchrun:
        sys.exit("gloo: no torchrun beside this interpreter: install torch there, or set TOPOPLAN_TORCHRUN")
    return stack.enter_context(Gloo(folder, str(Path(torchrun).parent / "python")))


if __name__ == "__main__":
    main()
