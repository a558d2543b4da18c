"""What a call may take of memory: how tests tell that hostile input is not expanded, without a clock."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator


@contextlib.contextmanager
def at_most(mib: float) -> Iterator[None]:
    """Assert that the block's Python objects never take more than so many MiB at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert peak <= mib, f"{peak:.1f} MiB at once, not {mib}"
