"""Place ranks: plain orders first, then refinement on the graph of hosts, and a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topoplan.errors import SolverMissingError
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.plan import Prediction
from topoplan.solvers.ranks.bounds.bound import certificate, exposed_bound_ms, hop_bytes_bound
from topoplan.solvers.ranks.compact.search import Compactor
from topoplan.solvers.ranks.compact.shapes import shapes
from topoplan.solvers.ranks.contraction import bound_s, contraction, floors_s, follow, kinds, least_s, price
from topoplan.solvers.ranks.exact.prove import prove
from topoplan.solvers.ranks.inside.islands import exchange_islands
from topoplan.solvers.ranks.inside.whole import Whole
from topoplan.solvers.ranks.luck import luck_ms
from topoplan.solvers.ranks.orders import (
    baseline_orders,
    fill,
    one_component,
    rivals,
    selections,
)
from topoplan.solvers.ranks.problem import Progress, RankParams, RankProblem, RankSolution, Watch, keep_going
from topoplan.solvers.ranks.steering.anneal import REFINE, Annealer
from topoplan.solvers.ranks.steering.blocks import Blocks
from topoplan.solvers.ranks.steering.pricer import Pricer
from topoplan.solvers.ranks.steering.steer import Steering

# plans whose objective differs by no more than this share are told apart by the other objectives; the busiest uplink is
# a yardstick, not a time that anyone sees, and buying its last percents with time is a bad trade
SAME = {"exposed_ms": 1e-3, "hop_bytes": 1e-3, "busiest_uplink": 0.05}
SWAPS = 80  # swaps by bytes x distance that cost about as much time as a proposal that prices links
# share of bytes x distance given up for a less busy uplink: what counts as equal, more where uplinks are asked for
GIVE = {"hop_bytes": 3e-4, "busiest_uplink": 4.5e-3, "exposed_ms": 0.0}
STARTS = {"hop_bytes": 4, "busiest_uplink": 5, "exposed_ms": 1}  # cuts that expert groups are exchanged from
DIVIDED = {"hop_bytes": 0, "busiest_uplink": 4, "exposed_ms": 0}  # exchanges after groups share expert groups anew
FEW_SWAPS = 10  # where bytes x distance are not what is asked for
FEW_HOSTS = 512  # hosts up to which a bound on bytes x distance is shown during the search: it takes no time there
SHAPES_KEPT = 2  # shapes of the grid priced in full, flow by flow


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A placement with its price and how it was found."""

    method: str
    gpu: IntArray
    prediction: Prediction


def solve_ranks(problem: RankProblem, params: RankParams | None = None, watch: Watch = keep_going) -> RankSolution:
    """Find a placement no worse in the objective than any baseline, better where the work allows.

    Raises
    ------
    InfeasibleError
        When the problem is built: too few usable GPUs.
    """
    params = params or RankParams()
    plain = _baselines(problem)
    found = [*plain, *_plain(problem, plain)]
    rule = Whole(problem)
    found = _unsplit(rule, [*found, *_whole(rule, found)])
    start = min(found, key=lambda c: _key(problem, c.prediction))
    told = _told(problem, start, watch)
    if problem.objective == "exposed_ms":
        found += _shaped(problem, start, told)
    short = _compact(problem, start, params, told)
    found = _unsplit(rule, [*found, *short])
    best = min(found, key=lambda c: _key(problem, c.prediction))
    # what was compacted has also been levelled: refinement has more to give on other placements
    if problem.objective == "exposed_ms" or (problem.objective == "busiest_uplink" and best not in short):
        found += _refine(problem, best, params, _told(problem, best, watch))
    found = _unsplit(rule, [*found, *_racks(problem, best, params, _told(problem, best, watch))])
    best = _choose(problem, [c for c in plain if c in found], found)
    proven, least = _prove(problem, best, params, watch)
    (best, *_) = _unsplit(rule, [proven, best])
    return RankSolution(
        best.gpu,
        best.prediction,
        {c.method: c.prediction for c in plain},
        certificate(_values(best.prediction), _bounds(problem, best, least)),
        best.method,
    )


def _told(problem: RankProblem, best: _Candidate, watch: Watch) -> Watch:
    """Watch that is told the incumbent and its bound in units of the objective; refinement counts from `best`."""
    value, lower = _key(problem, best.prediction)[0], 0.0
    if problem.objective == "exposed_ms":
        lower = _exposed_bound(problem, best)
    elif problem.objective == "hop_bytes" and len(np.unique(problem.fabric.gpu_host[best.gpu])) <= FEW_HOSTS:
        lower = _bounds(problem, best, 0.0)["hop_bytes"]

    def tell(progress: Progress) -> bool:
        now = value
        if progress.phase == REFINE:
            now = value * progress.value
        elif problem.objective == "hop_bytes":
            now = min(value, progress.value)
        return watch(Progress(progress.phase, progress.done, now, lower))

    return tell


def _choose(problem: RankProblem, plain: list[_Candidate], found: list[_Candidate]) -> _Candidate:
    """The candidate to return: among those about as good as the best in the objective, the best in the others.

    None is worse in the objective than any plain order, not even by less than that; and where flows are hashed, a
    plain order is kept unless the gain is clear of what the draw of the hashes may do.
    """
    keys = {id(c): _key(problem, c.prediction) for c in found}
    limit = min([min(k[0] for k in keys.values()) * (1 + SAME[problem.objective]), *(keys[id(c)][0] for c in plain)])
    near = [c for c in found if keys[id(c)][0] <= limit]
    if problem.objective == "exposed_ms" and plain:
        usual = min(plain, key=lambda c: keys[id(c)])
        floor = problem.once(least_s, usual.gpu)
        near = [c for c in near if c not in plain and _clear(problem, usual, c, floor)] or [
            c for c in plain if keys[id(c)][0] <= keys[id(usual)][0]
        ]
    return min(near, key=lambda c: (*keys[id(c)][1:], keys[id(c)][0]))


def _clear(problem: RankProblem, usual: _Candidate, other: _Candidate, floor_s: FloatArray) -> bool:
    """Whether a candidate is faster than a plain order by more than luck."""
    luck = luck_ms(problem.fabric, problem.traffic, usual.prediction, other.prediction, floor_s)
    return other.prediction.exposed_ms <= usual.prediction.exposed_ms - luck


def rate(problem: RankProblem, gpu: IntArray, method: str) -> RankSolution:
    """A given placement as a solution: its price, those of the plain orders, and the bounds."""
    best = _candidate(problem, method, gpu)
    plain = {c.method: c.prediction for c in _baselines(problem)}
    bounds = certificate(_values(best.prediction), _bounds(problem, best, 0.0))
    return RankSolution(gpu, best.prediction, plain, bounds, method)


def baselines(problem: RankProblem) -> dict[str, Prediction]:
    """Prices of the plain orders: linear, strings, random."""
    return {c.method: c.prediction for c in _baselines(problem)}


def plain_placement(problem: RankProblem, name: str) -> IntArray:
    """[ranks] int64 GPU of each rank in the plain order of that name."""
    return fill(problem, one_component(problem, baseline_orders(problem)[name]))


def _candidate(problem: RankProblem, method: str, gpu: IntArray) -> _Candidate:
    return _Candidate(method, gpu, problem.once(price, gpu))


def _values(price: Prediction) -> dict[str, float]:
    return {"hop_bytes": price.hop_bytes, "exposed_ms": price.exposed_ms}


def _key(problem: RankProblem, price: Prediction) -> tuple[float, ...]:
    parts = {"exposed_ms": price.exposed_ms, "busiest_uplink": price.busiest_uplink_ms, "hop_bytes": price.hop_bytes}
    return (parts.pop(problem.objective), *parts.values())


def _baselines(problem: RankProblem) -> list[_Candidate]:
    orders = baseline_orders(problem)
    return [_candidate(problem, name, fill(problem, one_component(problem, hosts))) for name, hosts in orders.items()]


def _plain(problem: RankProblem, known: list[_Candidate]) -> list[_Candidate]:
    """Every selection of hosts in its plain order, but for those already priced."""
    found = []
    for name, hosts in selections(problem):
        gpu = fill(problem, hosts)
        if not any(np.array_equal(gpu, c.gpu) for c in known):
            found.append(_candidate(problem, name, gpu))
    return found


def _unsplit(rule: Whole, found: list[_Candidate]) -> list[_Candidate]:
    """Candidates that keep the rule of whole groups; all of them where none does."""
    return [c for c in found if not rule.splits(c.gpu)] or found


def _whole(rule: Whole, known: list[_Candidate]) -> list[_Candidate]:
    """Placements made for the rule, where plain orders break it."""
    if not any(rule.splits(c.gpu) or rule.notes(c.gpu) for c in known):
        return []
    return [_candidate(rule.problem, name, gpu) for name, gpu in rule.placements()]


def _shaped(problem: RankProblem, start: _Candidate, watch: Watch) -> list[_Candidate]:
    """The shapes of the grid that price best on the hosts of `start`."""
    work = _compactor(problem, start, 0) if _steerable(problem) else None
    if work is None or len(np.unique(work.kind[: work.blocks.used])) > 1:
        return []
    pricer = _pricer(problem, work.blocks, start.gpu)
    group = problem.fabric.host_group[work.place[np.unique(work.group, return_index=True)[1]]]
    priced = []
    for i, (name, state) in enumerate(shapes(work)):
        if i % 10 == 0 and not watch(Progress("shapes of the grid", 0.0, start.prediction.exposed_ms, 0.0)):
            break
        priced.append((_steered(problem, pricer.parts(group[state])), name, state))
    best: list[_Candidate] = []
    for _, name, state in sorted(priced, key=lambda item: item[0]):
        gpu = follow(problem, start.gpu, work.place, work.hosts(state))
        if not any(np.array_equal(gpu, c.gpu) for c in [start, *best]):
            best.append(_candidate(problem, f"{start.method}, {name}", gpu))
        if len(best) == SHAPES_KEPT:
            break
    return best


def _steerable(problem: RankProblem) -> bool:
    """Whether groups alone price a block: not so where islands are wider than hosts, as NIC loads then vary."""
    return bool(problem.fabric.groups) and not problem.fabric.islands


def _pricer(problem: RankProblem, blocks: Blocks, gpu: IntArray) -> Pricer:
    return Pricer(problem.fabric, blocks, problem.once(floors_s, gpu), problem.traffic.exposure)


def _steered(problem: RankProblem, parts: tuple[float, float, float]) -> tuple[float, ...]:
    named = dict(zip(("exposed_ms", "busiest_uplink", "hop_bytes"), parts, strict=True))
    return (named.pop(problem.objective), *named.values())


def _compactor(problem: RankProblem, start: _Candidate, seed: int) -> Compactor | None:
    """What looks for short distances on the hosts of `start`, or None where there is nothing to move."""
    if not problem.fabric.groups and not problem.fabric.islands:
        return None
    made = problem.once(contraction, start.gpu)
    kind = kinds(problem, made.place)
    return Compactor(problem.fabric, made.blocks, made.place, kind, seed) if made.blocks.axes else None


def _compact(problem: RankProblem, start: _Candidate, params: RankParams, watch: Watch) -> list[_Candidate]:
    """A candidate with few bytes x distance on the hosts of `start`."""
    work = _compactor(problem, start, params.seed)
    if work is None:
        return []
    swaps = FEW_SWAPS if problem.objective == "exposed_ms" else SWAPS
    effort = (GIVE[problem.objective], STARTS[problem.objective], DIVIDED[problem.objective])
    moved = work.search(params.proposals * swaps, watch, *effort)
    return [_candidate(problem, "compact", follow(problem, start.gpu, work.place, moved))]


def _racks(problem: RankProblem, best: _Candidate, params: RankParams, watch: Watch) -> list[_Candidate]:
    """Candidates that exchange what whole islands hold, where islands are wider than hosts."""
    moved = exchange_islands(problem, best.gpu, params, watch, FEW_SWAPS)
    return [_candidate(problem, f"{best.method}, {name}", gpu) for name, gpu in moved]


def _refine(problem: RankProblem, start: _Candidate, params: RankParams, watch: Watch) -> list[_Candidate]:
    """The start refined, or nothing where refinement does not apply."""
    if not _steerable(problem):
        return []
    made = problem.once(contraction, start.gpu)
    if not made.blocks.axes:
        return []
    place = made.place
    state = Steering(_pricer(problem, made.blocks, start.gpu), place, problem.objective)
    moved = Annealer(state, place, kinds(problem, place), params.seed).search(params.proposals, watch)
    return [_candidate(problem, f"{start.method}, refined", follow(problem, start.gpu, place, moved))]


def _prove(problem: RankProblem, best: _Candidate, params: RankParams, watch: Watch) -> tuple[_Candidate, float]:
    """The plan, or one of fewer hop-bytes where they are the objective, and the fewest hop-bytes that are possible."""
    fabric, exact = problem.fabric, params.exact
    if exact is None or rivals(problem):
        return best, 0.0
    made = problem.once(contraction, best.gpu)
    hops = best.prediction.hop_bytes

    def look(spared: float) -> bool:
        return watch(Progress("exact solver, bytes x distance", 0.0, hops, max(0.0, hops - spared)))

    if not look(hops):
        return best, 0.0
    try:
        proof = prove(fabric, made.blocks, made.place, problem.free, exact, look)
    except SolverMissingError:
        if exact.demanded:
            raise
        proof = None
    if proof is None:
        return best, 0.0
    least = best.prediction.hop_bytes - proof.spared
    found = _candidate(problem, f"{best.method}, exact", follow(problem, best.gpu, made.place, proof.place))
    better = problem.objective == "hop_bytes" and found.prediction.hop_bytes < best.prediction.hop_bytes
    return (found if better else best), least


def _bounds(problem: RankProblem, best: _Candidate, least: float) -> dict[str, float]:
    hops = problem.once(_hops_bound, best.gpu)
    return {
        "hop_bytes": min(max(hops, least), best.prediction.hop_bytes),
        "exposed_ms": _exposed_bound(problem, best),
    }


def _hops_bound(problem: RankProblem, gpu: IntArray) -> float:
    made = problem.once(contraction, gpu)
    return hop_bytes_bound(problem.fabric, made.blocks, made.place)


def _exposed_bound(problem: RankProblem, best: _Candidate) -> float:
    return exposed_bound_ms(problem.once(bound_s, best.gpu), problem.traffic.exposure)
