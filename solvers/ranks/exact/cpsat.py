"""CP-SAT as all models here use it: imported late, deterministic, stopped from outside."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from topoplan.errors import SolverMissingError

LOOK_S = 0.2  # between two looks at what may stop the search


def cp_model() -> ModuleType:
    """OR-Tools' module of CP-SAT.

    Raises
    ------
    SolverMissingError
        It is not installed.
    """
    try:
        with warnings.catch_warnings():
            # its compiled parts have no __module__, which Python 3.12 and pytest speak of
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            from ortools.sat.python import cp_model as found  # noqa: PLC0415 - slow, and only for small jobs
    except ImportError as error:
        raise SolverMissingError(
            "proofs of optimality need OR-Tools, which is not installed", hint="pip install ortools"
        ) from error
    module: ModuleType = found
    return module


@dataclass(eq=False)
class Stop:
    """What ends a search before its budget; what is cut short so may differ between runs.

    Parameters
    ----------
    deadline
        Reading of `time.monotonic` at which it stops in any case.
    look
        Asked now and then with a proven lower bound (-1 while there is none); returns False to stop.
    """

    deadline: float | None = None
    look: Callable[[float], bool] = lambda _: True
    stopped: bool = False

    def run(self, solver: Any, model: Any, *, tell: bool) -> Any:
        """Status of solving a model, None where the search had ended before.

        CP-SAT works in a thread of its own: Python hears a Ctrl-C only between two steps of its main thread.
        """
        if self.stopped:
            return None
        if self.deadline is not None:
            solver.parameters.max_time_in_seconds = max(0.01, self.deadline - time.monotonic())
        answer, bound = ThreadPoolExecutor(1), [-1.0]
        if tell:
            solver.best_bound_callback = lambda value: bound.__setitem__(0, float(value))
        with answer:
            future = answer.submit(solver.solve, model)
            while not wait([future], LOOK_S).done:
                if self.ends(bound[0]):
                    solver.stop_search()
            return future.result()

    def ends(self, bound: float) -> bool:
        """Whether the search must end, told the bound proven so far."""
        late = self.deadline is not None and time.monotonic() > self.deadline
        self.stopped = self.stopped or late or not self.look(bound)
        return self.stopped


def cp_solver(cp: ModuleType, work: float, seed: int) -> Any:
    """Solver that stops after `work` units of deterministic time (about a second each)."""
    solver = cp.CpSolver()
    # one worker and deterministic time: the same answer on every run and machine
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = work
    solver.parameters.linearization_level = 2
    solver.parameters.catch_sigint_signal = False  # Ctrl-C is the caller's
    return solver
