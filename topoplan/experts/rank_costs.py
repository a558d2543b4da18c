"""The rank cost matrix that is proposed for SGLang's --eplb-topology: relative costs between the EP ranks, as JSON.

Experimental: an open proposal (SGLang pull request 37923, September 2026), in no release. It takes
{"rank_cost_matrix": [[...]]} or the matrix alone: square, finite, not negative, zero on the diagonal, rows and columns
in the order of the EP ranks; and only without redundant experts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError
from topoplan.experts.base import MAX_BYTES
from topoplan.experts.json_text import parse_json, row_lines
from topoplan.model.fabric import FloatArray

KEY = "rank_cost_matrix"
RANK_COSTS = "sglang-rank-costs"  # what it is asked for by, beside the formats of maps
RANK_COSTS_FILE = "rank-costs.json"
RANK_COSTS_USAGE = (
    f"--enable-eplb --eplb-algorithm topology_aware --eplb-topology {RANK_COSTS_FILE} --ep-dispatch-algorithm static"
    "  # experimental: an open proposal (pull request 37923), in no release of SGLang; no redundant experts"
)


def write_rank_costs(costs: npt.ArrayLike) -> bytes:
    """JSON of a [ranks, ranks] cost matrix, row the source; raises InputError when it is no such matrix."""
    matrix = _checked(costs)
    whole = bool((matrix == np.floor(matrix)).all()) and float(matrix.max()) < 2**53
    return f'{{"{KEY}": {row_lines((matrix.astype(np.int64) if whole else matrix).tolist())}}}\n'.encode()


def read_rank_costs(data: bytes) -> FloatArray:
    """[ranks, ranks] float64 of the JSON, row the source; raises InputError when it is no such file."""
    if len(data) > MAX_BYTES:
        raise InputError(f"a cost matrix of {len(data)} bytes; at most {MAX_BYTES} are read")
    content = parse_json(data)
    if isinstance(content, dict):
        if KEY not in content:
            raise InputError(f"a cost matrix file needs the key {KEY!r}")
        content = content[KEY]
    return _checked(content)


def _checked(costs: npt.ArrayLike) -> FloatArray:
    try:
        found = np.asarray(costs)
    except (ValueError, OverflowError):
        found = np.empty(0)
    if found.dtype.kind not in "iuf" or found.ndim != 2 or found.shape[0] != found.shape[1] or not found.size:
        raise InputError("a cost matrix needs numbers in the shape [ranks, ranks]")
    matrix = found.astype(np.float64)
    bad = np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))
    if bad.size:
        source, rank = bad[0]
        raise InputError(f"the cost from rank {source} to rank {rank} is {matrix[source, rank]}: costs are 0 or above")
    loop = np.flatnonzero(np.diag(matrix))
    if loop.size:
        raise InputError(f"the cost from rank {loop[0]} to itself must be 0")
    return matrix
