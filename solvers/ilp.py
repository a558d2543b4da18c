"""Integer linear programs through PuLP, solved in a process of their own: what rank and expert models share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from topoplan.errors import InputError, SolverMissingError

GAP = 1e-9  # relative gap at which a solver may stop
TOLERANCE = 1e-6  # taken off a solver's bound: the tolerance in which HiGHS and CBC keep constraints
INSTALL = "pip install pulp"
HINT = "PULP_CBC_CMD comes with PuLP; HiGHS with: pip install 'topoplan[highs]'"


def load_pulp() -> ModuleType:
    """PuLP; raises SolverMissingError where it is not installed."""
    try:
        import pulp  # noqa: PLC0415 - only for those who ask for it
    except ImportError as error:
        raise SolverMissingError("the ILP needs PuLP, which is not installed", hint=INSTALL) from error
    module: ModuleType = pulp
    return module


def find_solver(names: Sequence[str], others: str = "") -> str:
    """PuLP's own name of the first of `names`, in any case of letters, that is installed.

    Parameters
    ----------
    others
        Said before the names that PuLP knows, where the caller knows more.

    Raises
    ------
    InputError
        PuLP knows none of them.
    SolverMissingError
        PuLP, or every one of them, is not installed.
    """
    known: dict[str, str] = {name.lower(): name for name in load_pulp().listSolvers()}
    wanted = [known[name.lower()] for name in names if name.lower() in known]
    if not wanted:
        raise InputError(f"no ILP solver {names[0]!r}", hint=f"{others}PuLP knows {', '.join(sorted(known.values()))}")
    for candidate in wanted:
        if run(candidate, None, 1.0) is not None:
            return candidate
    raise SolverMissingError(f"ILP solver {' or '.join(names[:2])} is not installed", hint=HINT)


def run(solver: str, problem: Any, seconds: float) -> dict[str, Any] | None:
    """Status and values of the variables of a PuLP problem, {} for no problem; None where the solver is missing.

    The solver runs in a process of its own: HiGHS and OR-Tools clash in one.
    """
    request = {
        "solver": solver,
        "seconds": seconds,
        "gap": GAP,
        "problem": None if problem is None else _plain(problem),
    }
    done = subprocess.run(  # noqa: S603 - our own file, no shell
        # -P: modules beside the file do not hide those of Python
        [sys.executable, "-P", str(Path(__file__).with_name("ilp_child.py"))],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == SolverMissingError.exit_code:
        return None
    if done.returncode or (problem is not None and not done.stdout):
        raise SolverMissingError(f"ILP solver {solver} failed: {done.stderr.strip().splitlines()[-1:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if problem is not None else {}
    return answer


def found(answer: dict[str, Any] | None) -> bool:
    """Whether there is a solution, proven best or not."""
    pulp = load_pulp()
    return answer is not None and answer["status"] in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)


def proven(answer: dict[str, Any] | None) -> bool:
    """Whether the solution is proven best; PuLP tells no bound of a search that was cut short."""
    return answer is not None and answer["status"] == load_pulp().LpSolutionOptimal


def variable(problem: Any, name: str, high: float | None, kind: str) -> Any:
    """A variable of a problem between 0 and `high`."""
    if hasattr(problem, "add_variable"):  # from PuLP 3.3 on
        return problem.add_variable(name, 0, high, kind)
    return load_pulp().LpVariable(name, 0, high, kind)


def _plain(problem: Any) -> dict[str, Any]:
    """The problem as plain data."""
    make = getattr(problem, "toDict", None) or problem.to_dict  # renamed in PuLP 3.3
    result: dict[str, Any] = make()
    return result
