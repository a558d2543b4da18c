"""Split a model's layers into pipeline stages of nearly equal cost."""

from __future__ import annotations

import itertools

import numpy as np

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import FloatArray
from topoplan.model.job import ModelShape
from topoplan.model.plan import Stages


def layer_costs(model: ModelShape, sequence: int) -> FloatArray:
    """[layers] float64 forward FLOPs of a token in each layer; the output matrix counts with the last layer."""
    cost = np.array([model.layer_flops(layer, sequence) for layer in range(model.layers)])
    cost[-1] += 2 * model.embedding_weights
    return cost


def split_layers(cost: FloatArray, stages: int) -> Stages:
    """Contiguous stages whose costliest is as cheap as possible, exactly, by dynamic programming.

    Among optimal splits the one whose earlier stages are as full as the optimum allows is returned.

    Parameters
    ----------
    cost
        [layers] float64, above zero.

    Raises
    ------
    InfeasibleError
        Fewer layers than stages.
    """
    layers = len(cost)
    if layers < stages:
        raise InfeasibleError(f"{layers} layers cannot fill {stages} pipeline stages", hint="lower pp or vpp")
    total = np.concatenate([[0.0], np.cumsum(cost)])
    # best[k][i]: least possible costliest stage when the first i layers make k stages
    best = np.full((stages + 1, layers + 1), np.inf)
    best[0, 0] = 0.0
    for k in range(1, stages + 1):
        for i in range(k, layers + 1):
            best[k, i] = np.maximum(best[k - 1, k - 1 : i], total[i] - total[k - 1 : i]).min()
    first, limit = [0], best[stages, layers] * (1 + 1e-12)
    for k in range(1, stages):
        room = layers - (stages - k)  # later stages need a layer each
        first.append(min(room, int(np.searchsorted(total, total[first[-1]] + limit, side="right")) - 1))
    first.append(layers)
    return Stages(tuple(first), tuple(float(total[b] - total[a]) for a, b in itertools.pairwise(first)))
