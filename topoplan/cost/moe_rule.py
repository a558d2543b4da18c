"""Where tokens go when only loads and the routing rule are known: a closed form in place of a trace.

A token draws `top_groups` expert groups, then the same number of experts of each of them, without repetition: groups
are drawn for the strength of their best experts, so a drawn group is almost never left without a choice (in simulated
routing of DeepSeek's kind 3.97 of 4 drawn groups have one). Experts are taken as independent, and sources as alike.
Without groups and with equal loads this is the hypergeometric formula; unequal loads enter by the odds of each expert.
"""

from __future__ import annotations

import numpy as np

from topoplan.cost.moe import Visits, Where, part_shares, spread
from topoplan.errors import InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.job import Routing

# How steeply the chance that a group is drawn follows its load; the rest of a heavy group's load comes from more
# choices inside it. Assumed: fitted to simulated group-limited top-8 of 256, independent lognormal experts, where it is
# 0.74 to 0.76.
DRAWN_BY_LOAD = 0.75
FITS = 60  # rounds that fit the odds of groups


def ruled_visits(
    placement: ExpertPlacement, layer: int, rule: str, where: Where, load: FloatArray, routing: Routing
) -> Visits:
    """Visits of tokens that choose by a routing rule, on average.

    Parameters
    ----------
    load
        [experts] float64 tokens of each expert in this layer.
    """
    if len(load) != routing.experts:
        raise InputError(f"the routing rule has {routing.experts} experts, the load {len(load)}")
    how = spread(placement, layer, rule, where.host)
    chance = load / load.sum()
    odds = _group_odds(chance, routing)
    rows: dict[str, list[FloatArray]] = {"copies": [], "gpu": [], "domain": [], "host": []}
    for kind in range(len(how.share)):
        shares = part_shares(how, kind, placement, layer, where)
        rows["copies"].append(routing.top_k * (chance @ shares["gpu"]))
        for what, share in shares.items():
            rows[what].append(_visited(share, chance, routing, odds))
    # every source GPU holds the same share of the tokens
    return Visits(*(np.stack(values)[how.source] / where.gpus for values in rows.values()))


def _symmetric(terms: FloatArray, degree: int) -> FloatArray:
    """[...] float64 sum over all sets of `degree` of the terms [n, ...] of the product of the set's terms."""
    sums = [np.ones(terms.shape[1:])] + [np.zeros(terms.shape[1:]) for _ in range(degree)]
    for term in terms:
        for d in range(degree, 0, -1):
            sums[d] = sums[d] + term * sums[d - 1]
    return sums[degree]


def _group_odds(chance: FloatArray, routing: Routing) -> FloatArray:
    """[groups] float64 odds such that a set of groups is drawn in proportion to the product of its odds."""
    groups, drawn = routing.groups, routing.top_groups
    odds = np.ones(groups)
    if drawn == groups:
        return odds
    wanted = chance.reshape(groups, -1).sum(1) ** DRAWN_BY_LOAD
    wanted = np.minimum(wanted / wanted.sum() * drawn, 1 - 1e-6)
    for _ in range(FITS):
        others = [_symmetric(np.delete(odds, j), drawn - 1) for j in range(groups)]
        found = odds * np.array(others) / _symmetric(odds, drawn)
        odds = odds * np.maximum(wanted, 1e-12) / found
        odds = odds / odds.max()
    return odds


def _visited(share: FloatArray, chance: FloatArray, routing: Routing, odds: FloatArray) -> FloatArray:
    """[parts] float64 probability that a token visits each part.

    Parameters
    ----------
    share
        [experts, parts] float64 probability that a choice of an expert is served in a part.
    """
    experts, parts = share.shape
    limited = routing.top_groups < routing.groups
    groups = routing.groups if limited else 1
    draws = routing.top_k / (routing.top_groups if limited else 1)
    load = np.maximum(chance.reshape(groups, -1), 1e-300)
    within = load / load.sum(1, keepdims=True)
    missed = _missed(share.reshape(groups, experts // groups, parts), within, draws)
    if not limited:
        return np.asarray(1 - missed[0], np.float64)
    mean = _symmetric(odds[:, None] * missed, routing.top_groups) / _symmetric(odds, routing.top_groups)
    return np.asarray(1 - mean, np.float64)


def _missed(share: FloatArray, within: FloatArray, draws: float) -> FloatArray:
    """[groups, parts] float64 probability that none of a group's draws is served in a part.

    Of n equal experts, draws without repetition all miss a share x of them with the product over i < draws of
    1 - x n / (n - i). Unequal experts change that by the product of (1 - the odds of each) over what equal ones of the
    same total would have.

    Parameters
    ----------
    share
        [groups, experts of a group, parts] float64.
    within
        [groups, experts of a group] float64 chances that sum to 1 over a group.
    draws
        Experts that a token takes of the group, on average.
    """
    n = within.shape[1]
    x = np.einsum("ge,gep->gp", within, share)
    unequal = np.log1p(-np.minimum(draws * within[:, :, None] * share, 1 - 1e-12)).sum(1)
    equal = n * x * np.log1p(-min(draws / n, 1 - 1e-12))
    miss, left = np.ones_like(x), draws
    while left > 0:
        miss *= np.maximum(1 - x * n / max(n - (draws - left), 1.0), 0.0) ** min(left, 1.0)
        left -= 1
    return np.asarray(np.clip(miss * np.exp(unequal - equal), 0.0, 1.0), np.float64)
