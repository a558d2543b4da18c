"""Solve a PuLP problem given on stdin as JSON; a process of its own.

OR-Tools and highspy each bring a copy of HiGHS under one library name, and the second of them to be loaded into a
process fails. This file imports neither topoplan nor OR-Tools.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Read {solver, seconds, gap, problem} and print {status, values}; exit code 5 where the solver is missing."""
    import pulp  # noqa: PLC0415 - so that importing this file costs nothing

    request = json.load(sys.stdin)
    solver = pulp.getSolver(request["solver"], msg=False, timeLimit=request["seconds"], gapRel=request["gap"])
    if not solver.available():
        sys.exit(5)
    if request["problem"] is None:
        return
    read = getattr(pulp.LpProblem, "fromDict", None) or pulp.LpProblem.from_dict  # renamed in PuLP 3.3
    variables, problem = read(request["problem"])
    problem.solve(solver)
    values = {name: variable.value() for name, variable in variables.items()}
    print(json.dumps({"status": problem.sol_status, "values": values}))  # noqa: T201 - the answer to our parent


if __name__ == "__main__":
    main()
