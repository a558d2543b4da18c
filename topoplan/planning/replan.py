"""Change a plan as little as a changed fabric allows, or as much as a better price is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.fabric import BoolArray, Fabric, IntArray
from topoplan.model.job import Job
from topoplan.model.plan import Plan, Prediction
from topoplan.planning.diff import state_bytes
from topoplan.planning.solve import SolveOptions, plan_of, problem_of
from topoplan.solvers.ranks import RankProblem, Watch, keep_going, rate, solve_ranks
from topoplan.solvers.ranks.moves import Before, Change, curve
from topoplan.solvers.ranks.replan import Previous, Replanned, key_of, replan_ranks

WORTH = 1e-3  # share of the objective that is not worth a move where no loss is stated; what counts as equal elsewhere


@dataclass(frozen=True, slots=True)
class MoveLimit:
    """How much of a plan may change.

    Parameters
    ----------
    moves
        Most ranks that may change their GPU; None for any number.
    loss
        Share of the best objective found that may be given up for fewer moves; None takes the best within `moves`,
        or what is as good but for a thousandth.
    """

    moves: int | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a number of moves buys.

    Parameters
    ----------
    moved, hosts
        Ranks that change their GPU, and hosts that only the new plan uses.
    loss
        Objective above the best of the curve, as a share of it.
    state_bytes
        Weights and optimizer state of ranks that change their host; None where the job does not say its model.
    """

    moved: int
    hosts: int
    prediction: Prediction
    loss: float
    state_bytes: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class Revision:
    """A changed plan and the curve it was chosen from; no curve where nothing but lost hosts was to change."""

    plan: Plan
    curve: tuple[Step, ...] = ()


def replan(job: Job, fabric: Fabric, previous: Plan, options: SolveOptions | None = None) -> Plan:
    """Plan of the same job that moves only the ranks whose hosts are lost; see `revise`."""
    return revise(job, fabric, previous, options).plan


def revise(
    job: Job,
    fabric: Fabric,
    previous: Plan,
    options: SolveOptions | None = None,
    limit: MoveLimit | None = None,
    watch: Watch = keep_going,
) -> Revision:
    """Change a plan: only for lost hosts without a limit, else as far as the limit lets a better price be bought.

    A host is lost when the fabric of today has it no more, lists it or a GPU in use as unavailable, or when the
    options leave it out (hosts, reserve) or avoid it. As many hosts change as were lost, where whole hosts are free:
    the spares of the previous plan first.

    Raises
    ------
    InputError
        The previous plan has no ranks, or is of a job of another size.
    InfeasibleError
        Too few free GPUs for the ranks to move, or more of them than may.
    """
    options = options or SolveOptions()
    kept = _kept(job, fabric, previous)
    problem = problem_of(job, fabric, options, lambda hosts: _leaving(kept, hosts))
    done = replan_ranks(problem, kept)
    gpu, steps = done.gpu, tuple[Step, ...]()
    if limit is not None:
        gpu, steps = _bought(job, problem, kept, done, limit, options, watch)
    plan = plan_of(job, problem, options, rate(problem, gpu, "previous"))
    assert plan.placement is not None
    used = {fabric.host_names[h] for h in np.unique(plan.placement.host)}
    left = tuple(fabric.host_names[h] for h in kept.spares if problem.free[h] and fabric.host_names[h] not in used)
    crowded = _crowded(problem, done) if gpu is done.gpu else []
    return Revision(replace(plan, spares=plan.spares or left, warnings=(*plan.warnings, *crowded)), steps)


def parse_count(text: str, total: int, option: str) -> int:
    """Ranks of "40" or "7%" of `total`; raises InputError for anything else."""
    return int(_number(text, option) * total / 100 + 1e-9) if text.strip().endswith("%") else int(_number(text, option))


def parse_share(text: str, option: str) -> float:
    """Share of a text such as "1%" or "0.01"; raises InputError for anything else."""
    return _number(text, option, whole=False) / (100 if text.strip().endswith("%") else 1)


def _number(text: str, option: str, *, whole: bool = True) -> float:
    share = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (whole and not share and value != int(value)):
        kind = "a number of ranks nor a percentage such as 7%" if whole else "a percentage such as 1% nor a share"
        raise InputError(f"{option} {text!r} is neither {kind}")
    return value


def _kept(job: Job, fabric: Fabric, previous: Plan) -> Previous:
    """The previous placement in the fabric of today."""
    placement = previous.placement
    if placement is None:
        raise InputError("the previous plan places experts only: there are no ranks to keep")
    if placement.ranks != job.ranks:
        raise InputError(
            f"the previous plan has {placement.ranks} ranks, the job {job.ranks}",
            hint="plan anew without --previous",
        )
    names, index = placement.fabric.host_names, fabric.alias_index
    # hosts that are gone get numbers below 0 that keep them apart
    number = np.array([index.get(name, -1 - h) for h, name in enumerate(names)], np.int64)
    spares = [index[name] for name in previous.spares if name in index]
    return Previous(number[placement.host], placement.local, np.array(spares, np.int64))


def _bought(
    job: Job,
    problem: RankProblem,
    kept: Previous,
    done: Replanned,
    limit: MoveLimit,
    options: SolveOptions,
    watch: Watch,
) -> tuple[IntArray, tuple[Step, ...]]:
    """GPU of each rank in the change that the limit asks for, and all changes from the fewest moves to the best."""
    before = Before(_gpu_before(problem, kept))
    changes = curve(problem, before, done.gpu, options.params, watch)
    key, forced = key_of(problem.objective), len(changes[0].moved)
    if limit.moves is not None and forced > limit.moves:
        raise InfeasibleError(
            f"{forced} ranks lost their GPUs and have to move, but only {limit.moves} may",
            hint="raise --max-moves, or free the hosts that were lost",
        )
    anew = before.change(problem, solve_ranks(problem, options.params, watch).gpu)
    if key(anew.prediction)[0] < key(changes[-1].prediction)[0]:
        changes = [change for change in changes if len(change.moved) < len(anew.moved)] + [anew]
    best = key(changes[-1].prediction)[0]
    within = [c for c in changes if limit.moves is None or len(c.moved) <= limit.moves]
    least = key(within[-1].prediction)[0]
    chosen = next(c for c in within if key(c.prediction)[0] <= least * (1 + WORTH))
    if limit.loss is not None:
        near = [c for c in within if key(c.prediction)[0] <= best * (1 + limit.loss)]
        if not near:
            lost = least / best - 1
            raise InfeasibleError(
                f"{limit.moves} moves lose {100 * lost:.2f} % at least, more than the {100 * limit.loss:g} % allowed",
                hint="raise --max-moves or --max-loss",
            )
        chosen = near[0]
    state = state_bytes(job)
    return chosen.gpu, tuple(_step(problem, kept, c, best, state, c is chosen) for c in changes)


def _step(
    problem: RankProblem, kept: Previous, change: Change, best: float, state: np.ndarray | None, chosen: bool
) -> Step:
    host = problem.fabric.gpu_host[change.gpu]
    value = key_of(problem.objective)(change.prediction)[0]
    return Step(
        len(change.moved),
        len(np.setdiff1d(host, kept.host)),
        change.prediction,
        value / best - 1 if best > 0 else 0.0,
        None if state is None else float(state[host != kept.host].sum()),
        chosen,
    )


def _gpu_before(problem: RankProblem, kept: Previous) -> IntArray:
    """[ranks] int64 GPU of each rank in the previous plan, -1 where the fabric has it no more."""
    fabric = problem.fabric
    known = (kept.host >= 0) & (kept.local < fabric.host_gpus[kept.host])
    return np.where(known, fabric.gpu_offset[np.maximum(kept.host, 0)] + kept.local, -1)


def _leaving(kept: Previous, hosts: BoolArray) -> float:
    """Ranks that would have to leave their hosts if only `hosts` were used."""
    return float((~(hosts[kept.host] & (kept.host >= 0))).sum())


def _crowded(problem: RankProblem, done: Replanned) -> list[str]:
    """What to say where lost ranks found no host of their own."""
    hosts = problem.fabric.gpu_host[done.gpu]
    took, stayed = np.unique(hosts[done.moved]), np.unique(np.delete(hosts, done.moved))
    if len(took) == done.lost_hosts and not np.isin(took, stayed).any():
        return []
    return [
        f"{done.lost_hosts} hosts were lost and too few whole hosts were free: their {len(done.moved)} ranks now share "
        f"{len(took)} hosts; --max-moves and --max-loss let other ranks move too"
    ]
