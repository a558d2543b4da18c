"""The order in which each rank runs its operations, as its framework gives it.

An operation is (kind, virtual stage, micro-batch); kinds are F, B (gradient of the inputs), W (of the weights) and BW
(both). A turn is a tuple of operations that a rank runs as one, as DualPipe does with a forward and a backward.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Op = tuple[str, int, int]
Turn = tuple[Op, ...]


def orders(schedule: str, ranks: int, micro_batches: int, virtual: int = 1) -> list[list[Turn]] | None:
    """Turns of each rank; None where the schedule is not defined for that many micro-batches."""
    make: dict[str, Callable[[], list[list[Turn]]]] = {
        "1f1b": lambda: one_forward_one_backward(ranks, micro_batches),
        "zb-h1": lambda: zero_bubble_h1(ranks, micro_batches),
        "interleaved": lambda: interleaved(ranks, micro_batches, virtual),
        "dualpipe": lambda: dual_pipe(ranks, micro_batches),
    }
    if ranks == 1:
        return one_forward_one_backward(1, micro_batches)
    return None if wanting(schedule, ranks, micro_batches) else make[schedule]()


def wanting(schedule: str, ranks: int, micro_batches: int) -> str:
    """What a schedule takes that is not given, so that it is not defined; "" where it is."""
    if ranks > 1 and schedule == "interleaved" and micro_batches % ranks:
        return f"micro-batches in whole rounds of {ranks}"
    if ranks > 1 and schedule == "dualpipe" and (micro_batches % 2 or micro_batches < 2 * ranks or ranks % 2):
        return f"an even number of micro-batches, {2 * ranks} at least"
    return ""


def one_forward_one_backward(p: int, m: int) -> list[list[Turn]]:
    """Warm-up of p - s - 1 forwards, then one of each in turn (arXiv 2104.04473, figure 4)."""
    rows = []
    for s in range(p):
        warm = min(m, p - s - 1)
        row: list[Turn] = [(("F", s, k),) for k in range(warm)]
        for k in range(m - warm):
            row += [(("F", s, warm + k),), (("BW", s, k),)]
        rows.append(row + [(("BW", s, k),) for k in range(m - warm, m)])
    return rows


def interleaved(p: int, m: int, v: int) -> list[list[Turn]]:
    """Megatron-core's order: groups of p micro-batches through each chunk in turn."""
    order = [(chunk, g * p + k) for g in range(m // p) for chunk in range(v) for k in range(p)]
    rows = []
    for s in range(p):
        forward = [("F", chunk * p + s, k) for chunk, k in order]
        backward = [("BW", (v - 1 - chunk) * p + s, k) for chunk, k in order]
        warm = m * v if m == p else min(m * v, (p - s - 1) * 2 + (v - 1) * p)
        row: list[Turn] = [(op,) for op in forward[:warm]]
        for k in range(m * v - warm):
            row += [(forward[warm + k],), (backward[k],)]
        rows.append(row + [(op,) for op in backward[m * v - warm :]])
    return rows


def zero_bubble_h1(p: int, m: int) -> list[list[Turn]]:
    """1F1B with the gradients of weights put off, on rank s by s micro-batches (arXiv 2401.10241, figure 2)."""
    rows = []
    for s in range(p):
        warm = min(m, p - s - 1)
        row: list[Turn] = [(("F", s, k),) for k in range(warm)]
        late: list[int] = []
        for k in range(m - warm):
            row += [(("F", s, warm + k),), (("B", s, k),)]
            late.append(k)
            if len(late) > s:
                row.append((("W", s, late.pop(0)),))
        for k in range(m - warm, m):
            row.append((("B", s, k),))
            late.append(k)
            row.append((("W", s, late.pop(0)),))
        rows.append(row + [(("W", s, k),) for k in late])
    return rows


class _Dual:
    """One rank of DualPipe; stages p .. 2p - 1 are those of the pipeline that runs the other way."""

    def __init__(self, p: int, m: int, rank: int) -> None:
        self.row: list[Turn] = []
        self.late: deque[Op] = deque()
        self.stage = (rank, p + p - 1 - rank) if rank < p // 2 else (p + p - 1 - rank, rank)
        self.next = {kind: [0, 0] for kind in "FB"}

    def _take(self, kind: str, way: int) -> tuple[int, int]:
        self.next[kind][way] += 1
        return self.stage[way], self.next[kind][way] - 1

    def forward(self, way: int) -> None:
        self.row.append((("F", *self._take("F", way)),))

    def backward(self, way: int, split: bool = False) -> None:
        stage, micro = self._take("B", way)
        self.row.append((("B" if split else "BW", stage, micro),))
        if split:
            self.late.append(("W", stage, micro))

    def both(self, forward: int, backward: int) -> None:
        self.row.append((("F", *self._take("F", forward)), ("BW", *self._take("B", backward))))

    def weight(self) -> None:
        self.row.append((self.late.popleft(),))


def dual_pipe(p: int, m: int) -> list[list[Turn]]:
    """The eight phases of DualPipe, m / 2 micro-batches each way (arXiv 2412.19437, figure 5)."""
    rows = []
    for rank in range(p):
        half = min(rank, p - 1 - rank)
        r = _Dual(p, m, rank)
        outside = p // 2 - half - 1
        for _ in range(2 * outside):
            r.forward(0)
        for _ in range(half + 1):
            r.forward(0)
            r.forward(1)
        for _ in range(outside):
            r.backward(1, split=True)
            r.weight()
            r.forward(1)
        for k in range(m // 2 - p + half + 1):
            if k == 0 and half == p // 2 - 1:
                r.forward(0)
                r.backward(1)
            else:
                r.both(0, 1)
            r.both(1, 0)
        for _ in range(outside):
            r.backward(1)
            r.both(1, 0)
        split = False
        for k in range(half + 1):
            middle = k == (half + 1) // 2
            split |= middle and half % 2 == 1
            r.backward(1, split)
            split |= middle and half % 2 == 0
            r.backward(0, split)
        for _ in range(outside):
            r.weight()
            r.backward(0, split=True)
        for _ in range(half + 1):
            r.weight()
        rows.append(r.row)
    return rows
