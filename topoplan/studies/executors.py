"""Who runs the scenarios: local processes, Ray or Dask, all behind `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from topoplan.errors import InputError, SolverMissingError

LOCAL = "local"


@contextmanager
def executor(name: str, workers: int) -> Iterator[Executor]:
    """Executor of that name, shut down at the end; work that has not begun is then dropped.

    Ray and Dask join the cluster that RAY_ADDRESS or DASK_SCHEDULER_ADDRESS names, and start one on this machine where
    neither does.

    Raises
    ------
    InputError
        Another name.
    SolverMissingError
        Its package is not installed.
    """
    if name not in EXECUTORS:
        raise InputError(f"no executor {name!r}", hint=f"executors: {', '.join(EXECUTORS)}")
    with EXECUTORS[name](workers) as pool:
        yield pool


def usual_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _local(workers: int) -> Iterator[Executor]:
    # a fresh interpreter: numpy's and the solvers' threads do not survive a fork
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """In a worker: let the parent alone answer Ctrl-C, and end when it has been killed, which the pool does not see."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _dask(workers: int) -> Iterator[Executor]:
    try:
        import dask  # noqa: PLC0415 - an extra
        from distributed import Client  # noqa: PLC0415
    except ImportError:
        raise _missing("dask", "distributed") from None
    address = dask.config.get("scheduler-address", None)
    local = {} if address else {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with Client(address, **local) as client:
        pool = client.get_executor()
        try:
            yield pool
        finally:
            pool.shutdown(wait=False)  # Dask's way to drop what has not begun


@contextmanager
def _ray(workers: int) -> Iterator[Executor]:
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing("ray", "ray") from None
    ours = not ray.is_initialized()
    if ours:
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    pool = RayExecutor(ray)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if ours:
            ray.shutdown()


class RayExecutor(Executor):
    """Ray tasks as futures.

    Parameters
    ----------
    ray
        The module, initialised.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._remote: dict[Callable[..., Any], Any] = {}
        self._references: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` as a task of one processor."""
        if fn not in self._remote:
            self._remote[fn] = self._ray.remote(fn)
        reference = self._remote[fn].remote(*args, **kwargs)
        future: Future[Any] = reference.future()
        self._references[future] = reference
        future.add_done_callback(self._references.pop)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Drop what has not been finished, or wait for it."""
        for reference in list(self._references.values()):
            if cancel_futures:
                self._ray.cancel(reference)
            elif wait:
                self._ray.wait([reference])


def _missing(extra: str, package: str) -> SolverMissingError:
    return SolverMissingError(f"{package} is not installed", hint=f"pip install 'topoplan[{extra}]'")


EXECUTORS: Mapping[str, Callable[[int], AbstractContextManager[Executor]]] = {
    LOCAL: _local,
    "ray": _ray,
    "dask": _dask,
}
