"""Watch a solver: progress on a terminal's stderr, --time-limit, and Ctrl-C that keeps the best so far."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any

import click

WORTH = 0.005  # share of exposed time below which orders of hosts are called alike, as in the plan's own words


class SearchWatch:
    """Callable that a solver asks whether to go on; a context manager around the search.

    The first Ctrl-C ends the search and keeps the best plan so far, the second ends the program.

    Parameters
    ----------
    time_limit_s
        Wall-clock limit, None for the deterministic budget alone.
    objective
        What is searched for: where it is exposed time and nothing is left to gain, that is said before the search ends.
    """

    def __init__(self, time_limit_s: float | None = None, objective: str = "") -> None:
        self._objective, self._looked = objective, False
        self.limit, self.stopped, self.reason = time_limit_s, False, ""
        self._start = time.monotonic()
        self._status: Any = None
        self._old: Any = None

    def __enter__(self) -> SearchWatch:
        try:
            self._old = signal.signal(signal.SIGINT, self._interrupt)
        except ValueError:  # not in the main thread: whoever is there handles signals
            self._old = None
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only on a terminal

            self._status = Console(stderr=True).status("planning")
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status is not None:
            self._status.stop()
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
        self._look()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped, self.reason = True, "interrupt"

    def _say_what_binds(self, progress: Any) -> None:
        """At the first sight of plan and bound: whether any order of hosts can gain."""
        if self._looked or self._objective != "exposed_ms" or progress.lower_bound <= 0:
            return
        self._looked = True
        gain = 1 - progress.lower_bound / progress.value
        if gain < WORTH:
            text = f"NICs and NVLinks bind this job: no order of hosts gains more than {100 * max(gain, 0.0):.2f} %"
            if self._status is not None:
                self._status.console.print(text, highlight=False)
            else:
                click.echo(text, err=True)

    def _look(self) -> None:
        """See whether the time limit has passed."""
        if self.limit is not None and self.elapsed_s > self.limit and not self.stopped:
            self.stopped, self.reason = True, "time limit"

    @property
    def deadline(self) -> float | None:
        """Reading of `time.monotonic` at which the time limit ends; None without one."""
        return None if self.limit is None else self._start + self.limit

    @property
    def elapsed_s(self) -> float:
        """Seconds since the watch was made."""
        return time.monotonic() - self._start

    def __call__(self, progress: Any) -> bool:
        """Show the state of the search; False ends it."""
        self._look()
        self._say_what_binds(progress)
        if self._status is not None:
            low = progress.lower_bound
            gap = f"  bound {low:,.6g}  gap {progress.value / low - 1:.1%}" if low > 0 else ""
            self._status.update(f"{progress.phase} {progress.done:4.0%}  best {progress.value:,.6g}{gap}")
        return not self.stopped
