"""What is asked of the expert placer: loads, slots, hosts and rules, checked once; and how hard it should try."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.solvers.experts.routes import Routes


@dataclass(frozen=True, slots=True)
class ExpertParams:
    """How hard to try; the work depends on nothing but these and the problem, never on the clock.

    Parameters
    ----------
    tolerance
        Swaps of a layer stop when its largest GPU is within this share of its bound.
    enough
        A layer whose swaps stopped early is tried again only when it is further off than this.
    alphas
        Copies are first handed out greedily on load ** alpha; each layer that is not finished tries the next value.
        Below 1, light experts get more of the copies, which leaves fewer heavy replicas to fit beside each other.
    plans
        Copy plans that a layer which is still not finished tries at last, the most promising ones of many.
    assignments
        Ways of putting groups on hosts that a layer tries, best bound first.
    weighted_tolerance
        As `tolerance`, where copies get unequal shares.
    weighted_rounds
        Times that swaps and shares are fitted to each other there.
    move_price
        Balance (bound over largest load of a layer) that each moved slot of the layer must gain, where there is a
        previous placement.
    rounds
        Most rounds of swaps a try.
    patience
        Rounds without any gain after which a layer gives a try up.
    """

    tolerance: float = 5e-4
    enough: float = 8e-4
    alphas: tuple[float, ...] = (0.8, 0.6, 0.9, 0.7, 1.0)
    plans: int = 4
    assignments: int = 2
    weighted_tolerance: float = 1e-4
    weighted_rounds: int = 3
    move_price: float = 0.0
    rounds: int = 60
    patience: int = 6

    def for_places(self, places: int) -> ExpertParams:
        """Parameters for GPUs with so many slots: many small replicas level finer, a single one cannot be levelled."""
        if places == 1:
            return replace(self, alphas=(1.0,), plans=0)
        finer = min(1.0, max(0.01, (9 / places) ** 3))
        return replace(self, tolerance=self.tolerance * finer, enough=self.enough * finer)


@dataclass(frozen=True, eq=False)
class Across:
    """At least so many copies of every expert in different failure domains, so that losing one loses no expert.

    Parameters
    ----------
    domain
        [gpus] int64 failure domain of each GPU, from 0.
    least
        Domains that every expert must be in.
    name
        What a domain is called in messages.
    """

    domain: IntArray
    least: int
    name: str = "host"


@dataclass(frozen=True, eq=False)
class ExpertProblem:
    """Loads to balance and the slots to do it with.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens of each expert.
    gpus
        Number of GPUs, dead ones too.
    slots
        Slots of all GPUs together, spread as evenly as they go (what does not divide, over the hosts in turn);
        or [gpus] int64 of each GPU, or [layers, gpus] where layers differ.
    host
        [gpus] int64 host of each GPU; a single host when empty.
    groups
        The experts form this many consecutive groups of equal size, each of which stays whole on one host; 0: no rule.
    speed
        [gpus] float64 relative speed of each GPU; all alike when empty.
    weighted
        The engine follows dispatch weights: plan them too. Else copies share an expert's tokens evenly.
    previous
        Placement that is in force: experts that stay on their GPU keep their slot.
    max_moves
        Most slots, over all layers, whose GPU may get an expert that it did not hold; None sets no limit.
    routes
        Routing trace of the same layers: place and dispatch for few remote hosts a token too (with `groups` 0), with
        dispatch weights for each source host.
    min_balance
        With routes: fewest remote hosts at this balance (mean over largest load of a GPU), in place of best balance
        at no more remote hosts than whole groups would give.
    across
        Copies that must be in different failure domains; None for no such rule.
    dead
        GPUs that get no slot. Their share of the slots is lost: the memory of the others does not grow.

    Raises
    ------
    InputError
        A load that is not a number, is negative, or a layer without tokens (the message names the layer); shapes that
        disagree; fewer slots than experts; a group count that does not divide the experts.
    """

    load: FloatArray
    gpus: int
    slots: int | IntArray
    host: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    groups: int = 0
    speed: FloatArray = field(default_factory=lambda: np.empty(0, np.float64))
    dead: tuple[int, ...] = ()
    weighted: bool = False
    routes: Routes | None = None
    min_balance: float | None = None
    previous: ExpertPlacement | None = None
    max_moves: int | None = None
    across: Across | None = None

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError("at least one GPU is needed")
        self._set("load", checked_load(self.load))
        self._set("host", np.array(self.host if len(self.host) else np.zeros(self.gpus), np.int64))
        self._set("speed", np.array(self.speed if len(self.speed) else np.ones(self.gpus), np.float64))
        self._check_gpus()
        self._set("slots", self._slots_by_gpu())
        self._check_room()

    # ---- sizes -------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.load)

    @property
    def experts(self) -> int:
        """Number of logical experts of a layer."""
        return int(self.load.shape[1])

    @property
    def layer_slots(self) -> IntArray:
        """[layers, gpus] int64 slots of each GPU in each layer."""
        return np.asarray(np.broadcast_to(self.slots, (self.layers, self.gpus)), np.int64)

    @property
    def slot_gpu(self) -> IntArray:
        """[slots] int64 GPU of each slot of the map: room for the layer that has most, GPU by GPU."""
        return np.repeat(np.arange(self.gpus), self.layer_slots.max(0))

    # ---- checks ------------------------------------------------------------------------------------------------

    def _set(self, name: str, value: FloatArray | IntArray) -> None:
        value.flags.writeable = False
        object.__setattr__(self, name, value)

    def _check_gpus(self) -> None:
        if self.host.shape != (self.gpus,) or self.speed.shape != (self.gpus,):
            raise InputError(f"of {self.gpus} GPUs, {self.host.size} have a host and {self.speed.size} a speed")
        if not np.isfinite(self.speed).all() or self.speed.min() <= 0:
            raise InputError("a GPU's speed must be above zero", hint="list a dead GPU as dead instead")
        if self.host.min() < 0:
            raise InputError("a GPU's host is negative")
        for gpu in self.dead:
            if not 0 <= gpu < self.gpus:
                raise InputError(f"dead GPU {gpu} is not one of the {self.gpus} GPUs")
        if self.routes is not None:
            self.routes.check(self.layers, self.experts)
        if self.min_balance is not None and not 0 < self.min_balance <= 1:
            raise InputError("the least balance is not above 0 and at most 1")
        if self.max_moves is not None and self.max_moves < 0:
            raise InputError("the most moves are negative")
        if self.across is not None:
            self._check_across(self.across)
        if self.groups < 0 or (self.groups and self.experts % self.groups):
            raise InputError(f"{self.experts} experts do not divide into {self.groups} groups")

    def _check_across(self, across: Across) -> None:
        if across.domain.shape != (self.gpus,) or across.domain.min() < 0:
            raise InputError(f"of {self.gpus} GPUs, {across.domain.size} have a failure domain")
        if across.least < 1:
            raise InputError("at least one copy of every expert is needed")
        if self.groups and across.least > 1:
            raise InfeasibleError(
                f"whole groups keep all copies of an expert on one host, {across.least} copies are to be on different "
                f"{many(across.name)}",
                hint="leave one of the two rules out",
            )

    def _slots_by_gpu(self) -> IntArray:
        """[gpus] or [layers, gpus] int64."""
        slots = np.array(self.slots, np.int64)
        if slots.shape == ():
            total = int(slots)
            slots = np.full(self.gpus, total // self.gpus, np.int64)
            first = np.searchsorted(np.sort(self.host), self.host[np.argsort(self.host, kind="stable")])
            turn = np.empty(self.gpus, np.int64)
            turn[np.argsort(self.host, kind="stable")] = np.arange(self.gpus) - first
            slots[np.lexsort((self.host, turn))[: total % self.gpus]] += 1
        if slots.shape not in ((self.gpus,), (self.layers, self.gpus)):
            raise InputError(f"slots have shape {list(slots.shape)}, not [{self.gpus}] or {[self.layers, self.gpus]}")
        if slots.min() < 0:
            raise InputError("a slot count is negative")
        slots[..., list(self.dead)] = 0
        return slots

    def _check_room(self) -> None:
        room = self.layer_slots.sum(1)
        layer = int(room.argmin())
        if room[layer] < self.experts:
            raise InputError(
                f"layer {layer}: {room[layer]} slots cannot hold {self.experts} experts",
                hint="every expert needs a slot, one without tokens too; add slots or GPUs",
            )


def many(name: str) -> str:
    """Plural of a failure domain's name."""
    return {"leaf": "leaves"}.get(name, f"{name}s")


def checked_load(load: FloatArray) -> FloatArray:
    """Copy of a [layers, experts] load as float64.

    Raises
    ------
    InputError
        It is not a table, or a layer has a load that is not a number, is negative, or has no tokens at all.
    """
    try:
        load = np.array(load, np.float64)
    except (TypeError, ValueError):
        raise InputError("load is not a table of numbers") from None
    if load.ndim != 2 or not load.size:
        raise InputError(f"load has shape {list(load.shape)}, not [layers, experts]")
    for bad, what in (
        (~np.isfinite(load), "is not a finite number"),
        (load < 0, "is negative"),
    ):
        if bad.any():
            layer, expert = np.argwhere(bad)[0]
            raise InputError(f"layer {layer}: the load of expert {expert} {what}")
    silent = np.flatnonzero(load.max(1) <= 0)
    if silent.size:
        raise InputError(f"layer {silent[0]} has no tokens", hint="list only layers that were measured")
    return load
