"""What `topoplan experts` is asked for, and the solver's problem that it makes on given GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from topoplan.errors import InfeasibleError, InputError
from topoplan.files.arrays import Routes
from topoplan.model.fabric import FloatArray, IntArray
from topoplan.model.plan import InputFile, Plan
from topoplan.planning.expert_site import Site
from topoplan.solvers.experts import Across, ExpertProblem
from topoplan.solvers.experts import Routes as Trace

KERNELS = {"prefill": "normal", "decode": "low-latency"}  # what DeepEP's README gives each phase
# Assumed: how long new loads last, and the most that a GPU sends or receives before engines serve again.
HORIZON_S = 600.0
CHUNK_BYTES = 1e9


@dataclass(frozen=True, eq=False)
class ExpertRequest:
    """What `topoplan experts` is asked for.

    Parameters
    ----------
    load
        [layers, experts] float64 tokens, or [steps, layers, experts]: a history to forecast from.
    gpus, slots
        GPUs of the EP group, and slots of all of them together.
    groups
        Expert groups that stay whole on a host; 0 for none.
    previous
        Plan that is in force; None plans afresh.
    max_moves
        Most slots that may get an expert which their GPU did not hold: a number ("40") or a share of all slots of all
        layers ("7%"); "" leaves it to the price of moves.
    model
        Preset that gives the sizes; "" takes the one with this number of experts, where there is one.
    routes
        Trace of what tokens chose and where they came from.
    min_balance
        With routes: fewest remote hosts at this balance; None for best balance at no more than whole groups would give.
    phase
        "prefill" (DeepEP's normal kernels) or "decode" (its low-latency ones).
    batch_tokens
        Tokens of a batch, all GPUs together; 0 takes what DeepEP measures its kernels with.
    source_slots
        Give each source rank one copy of each expert, for engines that dispatch by such a table.
    across, least
        "host" or "leaf": at least so many copies of every expert in different ones; "" for no such rule.
    forecast
        How a history becomes loads; "" takes what a back-test finds best.
    horizon_s
        Seconds for which the new loads are expected to hold: what moves must pay for themselves in.
    chunk_bytes
        Most bytes that any GPU sends or receives in a chunk of layers.
    objective
        "time": the kind of placement (any host, groups whole, ways between balance and traffic) is the one with the
        least predicted time of a layer; "balance": best balance, with routes at no more remote hosts than whole groups
        would give. "" is "time" where the model is named and neither `groups` nor `min_balance` says otherwise.
    sweep
        Also price other numbers of slots.
    """

    load: FloatArray
    gpus: int
    slots: int
    groups: int = 0
    name: str = "experts"
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    previous: Plan | None = None
    max_moves: str = ""
    model: str = ""
    routes: Routes | None = None
    min_balance: float | None = None
    phase: str = "prefill"
    batch_tokens: int = 0
    source_slots: bool = False
    across: str = ""
    least: int = 0
    forecast: str = ""
    horizon_s: float = HORIZON_S
    chunk_bytes: float = CHUNK_BYTES
    sweep: bool = False
    objective: str = ""

    def check(self) -> None:
        """Raise an InputError where options contradict each other or a trace does not fit the load."""
        if self.max_moves and self.previous is None:
            raise InputError("--max-moves needs --previous", hint="without a previous plan every slot is filled anew")
        if self.min_balance is not None and self.routes is None:
            raise InputError("--min-balance needs --routes: without a trace, balance is all that is sought")
        if self.objective not in ("", "time", "balance"):
            raise InputError(f"no objective {self.objective!r}: time or balance")
        if self.objective == "time":
            for option, given in (("--groups", self.groups), ("--min-balance", self.min_balance is not None)):
                if given:
                    raise InputError(f"--objective time chooses what {option} says: leave one of the two out")
        if self.across and self.groups:
            raise InfeasibleError(
                f"--groups keeps all copies of an expert on one host, --replicas-across {self.across} on several",
                hint="leave one of the two out",
            )
        if self.routes is not None:
            self._check_routes(self.routes)

    def _check_routes(self, routes: Routes) -> None:
        layers, experts = self.load.shape[-2:]
        if len(routes.expert_ids) != layers:
            raise InputError(f"the routing trace has {len(routes.expert_ids)} layers, the load {layers}")
        unknown = np.flatnonzero(routes.expert_ids.max((1, 2)) >= experts)
        if len(unknown):
            layer = int(unknown[0])
            highest = int(routes.expert_ids[layer].max())
            raise InputError(f"layer {layer}: the trace names expert {highest}, the load has {experts} experts")


def problem_of(request: ExpertRequest, site: Site) -> ExpertProblem:
    """The solver's problem for [layers, experts] loads on the GPUs of a site."""
    routes = request.routes
    return ExpertProblem(
        request.load,
        request.gpus,
        request.slots,
        host=site.host,
        groups=request.groups,
        speed=site.speed,
        previous=request.previous.experts if request.previous is not None else None,
        max_moves=_most_moves(request, site),
        routes=None if routes is None else Trace(routes.expert_ids, routes.source),
        min_balance=request.min_balance,
        across=Across(domain_of(request.across, site), request.least, request.across) if request.across else None,
    )


def domain_of(name: str, site: Site) -> IntArray:
    """[gpus] int64 failure domain of each GPU; `name` is host or leaf."""
    return site.leaf if name == "leaf" else site.host


def _most_moves(request: ExpertRequest, site: Site) -> int | None:
    """Moves that are left for the solver once the GPUs that stand in for lost ones are filled."""
    if not request.max_moves or request.previous is None or request.previous.experts is None:
        return None
    most = parse_moves(request.max_moves, request.slots * len(request.load))
    old = request.previous.experts
    forced = int((old.physical_to_logical_map[:, site.fresh[old.slot_gpu]] >= 0).sum())
    if forced > most:
        raise InfeasibleError(
            f"{forced} slots have to move, because GPUs were lost ({', '.join(site.lost[:4])}), but only {most} may",
            hint="allow more moves",
        )
    return most - forced


def parse_moves(text: str, slots: int) -> int:
    """Moves of "40" or "7%" of `slots`.

    Raises
    ------
    InputError
        Neither, or below zero.
    """
    share = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (not share and value != int(value)):
        raise InputError(f"--max-moves {text!r} is neither a number of slots nor a percentage such as 7%")
    return int(value * slots / 100 + 1e-9) if share else int(value)
