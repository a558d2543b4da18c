"""What loads to plan for, from a history of them: the mean, recent steps, or the mean and some of its spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import FloatArray

# Plain ones first: a later one must beat them. Weights of the newest step, and standard deviations that are added.
METHODS = ("mean", "ewma 0.2", "ewma 0.5", "ewma 0.8", "mean + 0.5 sigma", "mean + 1 sigma", "mean + 2 sigma")
LEAST_STEPS = 4  # below, nothing can be tested and the mean is taken
MOST_TESTS = 4
BETTER = 2e-4  # balance by which a method must beat the plainer ones before it: less is chance


@dataclass(frozen=True, eq=False)
class Forecast:
    """Loads to plan for and how they were chosen.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens of a step.
    method
        One of METHODS.
    scores
        Balance that each method reached in the back-test, mean over tests and layers; empty where there was none.
    tests
        Steps that were foretold from the ones before them.
    """

    load: FloatArray
    method: str
    scores: dict[str, float]
    tests: int


def foretell(history: FloatArray, method: str) -> FloatArray:
    """[layers, experts] float64 tokens of the next step.

    Steps count alike, whatever their number of tokens; a layer's steps without tokens do not count. EWMA gives the
    newest step its weight and shrinks the others by the rest; sigma is the standard deviation of a step.

    Parameters
    ----------
    history
        [steps, layers, experts] float64 tokens.

    Raises
    ------
    InputError
        There is no such method.
    """
    if method not in METHODS:
        raise InputError(f"no forecast {method!r}", hint=f"methods: {', '.join(METHODS)}")
    total = history.sum(2, keepdims=True)
    share = np.divide(history, total, out=np.zeros_like(history), where=total > 0)
    weight = (total > 0).astype(np.float64)
    if method.startswith("ewma"):
        newest = float(method.split()[1])
        # age of each step among those that have tokens
        age = weight[::-1].cumsum(0)[::-1] - weight
        weight = weight * (1 - newest) ** age
    count = np.maximum(weight.sum(0), 1e-300)
    mean = (share * weight).sum(0) / count
    if method.startswith("mean +"):
        spread = np.sqrt((weight * (share - mean) ** 2).sum(0) / count)
        mean = mean + float(method.split()[2]) * spread
    tokens = total.sum(0) / np.maximum((total > 0).sum(0), 1)
    return np.asarray(mean * tokens, np.float64)


def choose(history: FloatArray, balance: Callable[[FloatArray, FloatArray], float]) -> Forecast:
    """Forecast by the method that did best on the last steps of the history.

    Parameters
    ----------
    history
        [steps, layers, experts] float64 tokens.
    balance
        (forecast, actual), [layers, experts] each -> balance under the actual loads of what is planned for a forecast.
    """
    steps = len(history)
    if steps < LEAST_STEPS:
        return Forecast(foretell(history, METHODS[0]), METHODS[0], {}, 0)
    tests = range(steps - min(MOST_TESTS, steps // 2), steps)
    # steps in which a layer is silent say nothing about that layer, and cannot be planned from
    tests_of = [t for t in tests if (history[:t].sum((0, 2)) > 0).all() and (history[t].sum(1) > 0).all()]
    if not tests_of:
        return Forecast(foretell(history, METHODS[0]), METHODS[0], {}, 0)
    scores = {
        method: float(np.mean([balance(foretell(history[:t], method), history[t]) for t in tests_of]))
        for method in METHODS
    }
    best = METHODS[0]
    for method in METHODS[1:]:
        if scores[method] > scores[best] + BETTER:
            best = method
    return Forecast(foretell(history, best), best, scores, len(tests_of))
