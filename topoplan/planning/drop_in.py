"""EPLB's rebalance_experts with the same arguments and the same three arrays, for programs that change one import."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError
from topoplan.experts import slots_of_experts
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.planning.expert_place import place_copies
from topoplan.solvers.experts import ExpertProblem


def rebalance_experts(
    weight: Any,
    num_replicas: int,
    num_groups: int,
    num_nodes: int,
    num_gpus: int,
    old_global_expert_indices: Any = None,
) -> tuple[Any, Any, Any]:
    """Replicate experts and place the copies on GPUs; takes and returns what EPLB's function of this name does.

    As there, groups of experts stay whole on a node where the nodes divide the groups, and may go anywhere where they
    do not. Unlike there, no GPU gets an expert twice where that is avoidable, and the largest GPU is near its bound.

    Parameters
    ----------
    weight
        [layers, num_logical] tokens of each expert: a torch tensor on any device, a numpy array or nested lists. A
        layer without tokens is balanced as if its experts were alike, because engines ask before the first token.
    num_replicas
        Slots of all GPUs together, a multiple of `num_gpus`.
    num_groups
        Consecutive groups of experts, which they divide into.
    num_nodes
        Hosts that the GPUs divide into.
    num_gpus
        GPUs; vLLM calls them ranks.
    old_global_expert_indices
        [layers, num_replicas] expert of each slot now. What stays on its GPU keeps its slot, and what gains little
        does not move. Not regarded when it has another shape, or no slot for some expert (ranks came or went).

    Returns
    -------
    phy2log
        [layers, num_replicas] int64 expert of each slot, slots numbered GPU by GPU.
    log2phy
        [layers, num_logical, most copies] int64 slots of each expert, padded with -1.
    logcnt
        [layers, num_logical] int64 copies of each expert.
        All three are torch tensors on the device of `weight` where that is a torch tensor, else numpy arrays.

    Raises
    ------
    InputError
        Sizes that do not divide, fewer slots than experts, or a load that is negative or not a number.
    InfeasibleError
        The groups do not fit on the nodes.

    Examples
    --------
    Eight experts in four groups, with two spare slots on each of two nodes:

    >>> import topoplan
    >>> weight = [[90, 20, 30, 40, 10, 70, 25, 35]]
    >>> phy2log, log2phy, logcnt = topoplan.rebalance_experts(weight, 12, 4, 2, 4)
    >>> phy2log.shape, log2phy.shape[:2], int(logcnt.sum())
    ((1, 12), (1, 8), 12)
    >>> bool((phy2log[0, log2phy[0, 0, : logcnt[0, 0]]] == 0).all())
    True

    Load has moved from the first expert to the second; pass the map in force and little else moves:

    >>> again, _, _ = topoplan.rebalance_experts([[80, 30, 30, 40, 10, 70, 25, 35]], 12, 4, 2, 4, phy2log)
    >>> int((again != phy2log).sum()) <= 4
    True
    """
    load = _load(weight)
    _check_sizes(load.shape[1], num_replicas, num_groups, num_nodes, num_gpus)
    whole = num_groups % num_nodes == 0
    problem = ExpertProblem(
        load,
        num_gpus,
        num_replicas,
        host=np.arange(num_gpus) // (num_gpus // num_nodes) if whole else np.zeros(num_gpus, np.int64),
        groups=num_groups if whole and num_nodes > 1 else 0,
        previous=_old(old_global_expert_indices, load.shape, num_replicas, num_gpus),
    )
    phy2log = place_copies(problem).physical_to_logical_map
    log2phy, logcnt = slots_of_experts(phy2log, load.shape[1])
    return _like(weight, phy2log), _like(weight, log2phy), _like(weight, logcnt)


def load_table(load: Any) -> FloatArray:
    """[layers, experts] float64 of [layers, experts] or [steps, layers, experts] numbers, on any device."""
    if hasattr(load, "detach"):  # a torch tensor; float64 because numpy knows no bfloat16
        load = load.detach().double().cpu().numpy()
    try:
        table = np.asarray(load, np.float64)
    except (TypeError, ValueError):
        raise InputError("load is not a table of numbers") from None
    return np.asarray(table.sum(0)) if table.ndim == 3 else table


def _load(weight: Any) -> FloatArray:
    """[layers, num_logical] float64, a layer without tokens all ones."""
    load = load_table(weight)
    if load.ndim != 2 or not load.size or (hasattr(weight, "ndim") and weight.ndim != 2):
        raise InputError(f"weight has shape {list(getattr(weight, 'shape', load.shape))}, not [layers, experts]")
    silent = ~(load != 0).any(axis=1, keepdims=True)
    return np.where(silent, 1.0, load)


def _check_sizes(experts: int, slots: int, groups: int, nodes: int, gpus: int) -> None:
    """Raise InputError for what EPLB asserts."""
    for name, value in (("num_groups", groups), ("num_nodes", nodes), ("num_gpus", gpus)):
        if value < 1:
            raise InputError(f"{name} is {value}; at least 1 is needed")
    if slots % gpus:
        raise InputError(
            f"{slots} replicas do not divide by {gpus} GPUs", hint="topoplan.place_experts takes any number of slots"
        )
    if groups % nodes:
        return
    if experts % groups:
        raise InputError(f"{experts} experts do not divide into {groups} groups")
    if gpus % nodes:
        raise InputError(f"{gpus} GPUs do not divide by {nodes} nodes")


def _old(indices: Any, shape: tuple[int, ...], slots: int, gpus: int) -> ExpertPlacement | None:
    """The map in force, or None where it cannot be followed."""
    if indices is None:
        return None
    if hasattr(indices, "detach"):
        indices = indices.detach().cpu().numpy()
    layers, experts = shape
    old: IntArray = np.asarray(indices, np.int64)
    if old.shape != (layers, slots):
        return None
    if old.max(initial=-1) >= experts or old.min(initial=0) < -1:
        raise InputError(f"old_global_expert_indices names an expert that does not exist (0 to {experts - 1})")
    held = np.zeros((layers, experts + 1), bool)
    np.put_along_axis(held, old, True, axis=1)  # -1, an empty slot, falls on the last column
    return ExpertPlacement(gpus, old, experts) if held[:, :experts].all() else None


def _like(weight: Any, array: npt.NDArray[np.int64]) -> Any:
    """The array as a tensor where `weight` is one, of type int64 and on its device; torch itself is not imported."""
    if hasattr(weight, "new_empty"):
        return weight.new_empty(0).long().new_tensor(array)
    return array.copy()
