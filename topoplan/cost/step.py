"""The time of a training step: compute, waiting in the pipeline, and what communication compute does not hide.

What each axis can hide behind is derived:

tp       its all-gathers and reduce-scatters block the layer, unless the framework overlaps them with its products
cp       ring attention passes the next chunk while it works on one: all chunks but one of the attention core
ep       dispatch and combine block the layer; where a schedule runs forward beside backward (DualPipe), or the
         framework overlaps them, the compute of micro-batches that have a partner
pp       messages between stages: the hops that the schedule leaves on its critical path
dp, edp  gradients behind the last backward, weights behind the first forward; with virtual stages those of one chunk
         behind the whole rounds of the chunks before it; with ZeRO-3 behind all compute. They peak together, beside
         what is left of that micro-batch's other traffic, and share links
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from topoplan.cost.hardware import OVERLAP_TAX, Gpu
from topoplan.cost.peaks import Peaks, peaks
from topoplan.cost.schedules import Pass, Schedule, Timing, schedule_named
from topoplan.cost.storage import storage_flows
from topoplan.cost.timeline import Pieces, timeline
from topoplan.cost.work import Work
from topoplan.model.demand import ZERO_BYTES
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.job import Job
from topoplan.model.step import AxisTime, Interval, StepTime, StorageFlow
from topoplan.model.traffic import Traffic

_GATHER_BYTES = 2.0  # of ZERO_BYTES with ZeRO-1 and 2: BF16 weights back
# Full recomputation runs the forward communication again: half of what tp and ep send, a third of the ring's.
_INSIDE = ("tp", "cp", "ep")  # axes that work inside micro-batches
_AGAIN = {"tp": 1.5, "ep": 1.5, "cp": 4 / 3}
_HALVINGS = 60  # of the interval in which a measured step's compute is looked for


def step_time(
    job: Job,
    fabric: Fabric,
    traffic: Traffic,
    gpu: IntArray,
    first_layer: tuple[int, ...],
    scale: float = 1.0,
    *,
    drawn: bool = False,
) -> StepTime:
    """Step of a job that says how fast it computes, rank r on global GPU gpu[r] ([ranks] int64).

    Parameters
    ----------
    traffic
        Of the job; its exposures are not looked at.
    first_layer
        First layer of each virtual stage in order, then the number of layers.
    scale
        Factor on the time of compute; see `scale_to`.
    drawn
        With its timeline.

    Raises
    ------
    InputError
        A schedule that the layout cannot run, or GPUs whose peak is unknown.
    """
    step = _step(job, fabric, traffic, gpu, first_layer)
    found = step.at(scale)
    return replace(found, timeline=step.timeline(found, scale)) if drawn else found


def scale_to(
    seconds: float, job: Job, fabric: Fabric, traffic: Traffic, gpu: IntArray, first_layer: tuple[int, ...]
) -> float:
    """Factor on the time of compute with which the step on GPUs `gpu` lasts `seconds`; raises as `step_time`.

    0 where communication alone lasts longer.
    """
    step = _step(job, fabric, traffic, gpu, first_layer)
    low, high = 0.0, 1.0
    while step.at(high).total_s < seconds:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if step.at(middle).total_s < seconds else (low, middle)
    return high if step.at(0.0).total_s < seconds else 0.0


def _step(job: Job, fabric: Fabric, traffic: Traffic, gpu: IntArray, first_layer: tuple[int, ...]) -> _Step:
    work = Work(job, first_layer, gpu_of(job, fabric, gpu))
    return _Step(work, peaks(fabric, traffic, gpu), storage_flows(work, fabric, gpu))


def gpu_of(job: Job, fabric: Fabric, gpu: IntArray) -> Gpu:
    """The slowest GPU that is used, as job and fabric describe it."""
    used = [fabric.host_types[t] for t in np.unique(fabric.host_type[fabric.gpu_host[gpu]])]
    slowest = min(used, key=lambda kind: (kind.flops_per_s or 0.0, kind.gpu_memory_bytes or 0.0))
    stated = job.compute.flops_per_s if job.compute is not None else None
    return Gpu(stated or slowest.flops_per_s, slowest.gpu_memory_bytes)


@dataclass(frozen=True, eq=False)
class _Step:
    work: Work
    links: Peaks
    storage: tuple[StorageFlow, ...]

    @property
    def schedule(self) -> Schedule:
        p = self.work.parallel
        return schedule_named(self.work.job.schedule, p.pp, p.vpp)

    def at(self, scale: float) -> StepTime:
        """The step with compute `scale` times as long."""
        work, m = self.work, self.work.batch.micro_batches
        passes = [seconds * scale for seconds in work.passes]
        inside = self._inside(scale)
        blocking = sum(axis.exposed_s for axis in inside) / m
        turn = _turn(work, passes, blocking)
        timing = self.schedule.timing(replace(turn, hop_s=self._hop_s()))
        axes = (*inside, self._between(timing), *self._gradients(turn))
        compute = m * float(sum(passes).max())  # type: ignore[union-attr]
        bubble = max(0.0, timing.work_s + timing.bubble_s - compute - m * blocking)
        step = StepTime(
            self.schedule.name, compute, bubble, work.optimizer_s * scale,
            tuple(axis for axis in axes if axis.work_s > 0), self.storage,
        )  # fmt: skip
        step = replace(step, storage_s=self._storage_s(step.total_s))
        return replace(step, mfu=self._mfu(step.total_s))

    def timeline(self, step: StepTime, scale: float) -> tuple[Interval, ...]:
        """When each pipeline rank does what in `step`, which this is with compute `scale` times as long."""
        exposed = {axis.name: axis.exposed_s for axis in step.axes}
        forward, backward, weights = (seconds * scale for seconds in self.work.passes)
        inside = tuple((name, exposed[name]) for name in _INSIDE if name in exposed)
        # hops that the schedule waits for; what else is exposed of them comes at the end
        turn = _turn(self.work, [forward, backward, weights], sum(s for _, s in inside) / self.work.batch.micro_batches)
        hops = self.schedule.timing(replace(turn, hop_s=self._hop_s())).hops_s
        waits = min(hops, exposed.get("pp", 0.0))
        after = [("pp", exposed.get("pp", 0.0) - waits), *((name, exposed.get(name, 0.0)) for name in ("dp", "edp"))]
        return timeline(
            Pieces(
                self.schedule.name, forward, backward, weights, self.work.batch.micro_batches, self.work.parallel.vpp,
                inside, self._hop_s() * waits / hops if hops > 0 else 0.0, (*after, ("optimizer", step.optimizer_s)),
            )
        )  # fmt: skip

    def _mfu(self, seconds: float) -> float | None:
        peak = self.work.gpu.flops_per_s
        return None if peak is None else self.work.model_flops / (seconds * peak * self.work.job.ranks)

    # ---- axes --------------------------------------------------------------------------------------------------

    def _axis(self, name: str, total: float, sticks_out: float, window: float) -> AxisTime:
        """An axis of which `sticks_out` seconds find no compute to hide behind, unless the job says how much."""
        stated = self._stated(name)
        if stated is not None:
            return AxisTime(name, total, stated * total, window, stated=True)
        bare = min(total, max(0.0, sticks_out))
        return AxisTime(name, total, bare + OVERLAP_TAX * (total - bare), window)

    def _stated(self, name: str) -> float | None:
        """Exposure in the job file; expert gradients are like the others unless it says otherwise."""
        given = self.work.job.exposure
        return given.get(name, given.get("dp") if name == "edp" else None)

    def _inside(self, scale: float) -> list[AxisTime]:
        """Axes that work inside a micro-batch: what is longer than the compute that they run beside sticks out."""
        work, m = self.work, self.work.batch.micro_batches
        overlap, cp = work.compute.overlap, work.parallel.cp
        whole = sum(work.passes)
        busiest = int(np.argmax(whole))
        total = m * scale * float(np.max(whole))
        core = m * 3 * scale * float(work.core_s[busiest])  # once forward and twice backward
        partners = max(0, m - work.parallel.pp + 1) / m
        windows = {
            "tp": total - core if "tp" in overlap else 0.0,
            "cp": core * (cp - 1) / cp if "cp" in overlap else 0.0,
            "ep": total * partners if self.schedule.paired or "ep" in overlap else 0.0,
        }
        times = _AGAIN if work.compute.recompute == "full" else dict.fromkeys(_INSIDE, 1.0)
        work_s = {name: self.links.alone(name) * times[name] for name in windows}
        bare = {name: max(0.0, work_s[name] - window) for name, window in windows.items()}
        # those that run beside the same compute share links: what they take together counts where that is longer
        hidden = {name: times[name] for name, window in windows.items() if window > 0 and work_s[name] > 0}
        if len(hidden) > 1:
            widest = max(windows[name] for name in hidden)
            more = self.links.together(hidden) - widest - sum(bare[name] for name in hidden)
            for name in hidden:
                bare[name] += max(0.0, more) * work_s[name] / sum(work_s[other] for other in hidden)
        return [self._axis(name, work_s[name], bare[name], window) for name, window in windows.items()]

    def _hop_s(self) -> float:
        """Seconds of one message between stages."""
        p, m = self.work.parallel, self.work.batch.micro_batches
        messages = m if p.pp == 2 and p.vpp == 1 else 2 * m * p.vpp
        return self.links.alone("pp") / messages

    def _between(self, timing: Timing) -> AxisTime:
        """Messages between stages: the hops that the schedule leaves on its critical path stick out."""
        total = self.links.alone("pp")
        bare = min(total, timing.hops_s) if "pp" in self.work.compute.overlap else total
        return self._axis("pp", total, bare, total - bare)

    def _gradients(self, turn: Pass) -> list[AxisTime]:
        """Gradients and weights of data-parallel ranks, dense and expert ones together."""
        m, overlap = self.work.batch.micro_batches, self.work.compute.overlap
        alone = {name: self.links.alone(name) for name in ("dp", "edp")}
        inside = [name for name in self.links.axes if name not in alone]
        both = self.links.together({"dp": 1.0, "edp": 1.0})
        # beside the traffic of one micro-batch; with ZeRO-3 beside that of all
        share = 1.0 if self.work.parallel.zero == 3 else 1.0 / m
        beside = self.links.together({"dp": 1.0, "edp": 1.0} | dict.fromkeys(inside, share))
        bare = min(both, self._left(turn, beside)) if {"dp", "edp"} & set(overlap) else both
        window = self._gradient_window(turn, both) if {"dp", "edp"} & set(overlap) else 0.0
        # what is exposed is shared out by size
        parts = {name: seconds / sum(alone.values()) for name, seconds in alone.items() if seconds}
        return [self._axis(name, alone[name], bare * part, window) for name, part in parts.items()]

    def _left(self, turn: Pass, seconds: float) -> float:
        """Of `seconds` of gradients and weights, what sticks out of the compute they run beside."""
        zero = self.work.parallel.zero
        if zero == 3:
            return max(0.0, seconds - turn.work_s)
        busiest = int((turn.forward + turn.backward + turn.weights).argmax())
        forward, backward = float(turn.forward[busiest]), float(turn.backward[busiest] + turn.weights[busiest])
        gather = seconds * (_GATHER_BYTES / ZERO_BYTES[zero] if zero in (1, 2) else 0.0)
        return _sticking(seconds - gather, backward, turn) + _sticking(gather, forward, turn)

    def _gradient_window(self, turn: Pass, seconds: float) -> float:
        return turn.work_s if self.work.parallel.zero == 3 else max(0.0, seconds - self._left(turn, seconds))

    # ---- storage -----------------------------------------------------------------------------------------------

    def _storage_s(self, total_s: float) -> float:
        """What storage adds to a step: it runs beside it, on NICs of its own or on links that collectives use too."""
        own = sum(flow.each_step_s for flow in self.storage if flow.network == "front-end")
        shared = sum(flow.each_step_s for flow in self.storage if flow.network == "back-end")
        busy = self.links.busiest_s + shared if shared else 0.0
        return max(0.0, own - total_s, busy - total_s)


def _turn(work: Work, passes: list[FloatArray], blocking_s: float) -> Pass:
    """A micro-batch with the communication that blocks it, half of it on the way forward."""
    forward, backward, weights = passes
    half = blocking_s / 2
    return Pass(forward + half, backward + half, weights, work.batch.micro_batches, work.parallel.vpp)


def _sticking(seconds: float, one: float, turn: Pass) -> float:
    """Of collectives over all chunks of a rank, what one micro-batch (`one` seconds, all chunks) does not hide.

    A chunk's collective waits for its last micro-batch and runs beside the p micro-batches of each chunk after it. The
    last chunk has its own last micro-batch alone, all chunks together what lies between.
    """
    chunk, v = one / turn.virtual, turn.virtual
    round_s = chunk * min(turn.ranks, turn.micro_batches)
    return max(0.0, seconds / v - chunk, seconds - chunk - (v - 1) * round_s)
