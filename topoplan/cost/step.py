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

from topoplan.cost.peaks import Peaks, peaks
from topoplan.cost.schedules import Pass, Schedule, Timing, schedule_named
from topoplan.cost.storage import storage_flows
from topoplan.cost.work import Work
from topoplan.model.demand import ZERO_BYTES
from topoplan.model.fabric import Fabric, FloatArray, IntArray
from topoplan.model.job import Job
from topoplan.model.step import AxisTime, StepTime, StorageFlow
from topoplan.model.traffic import Traffic

_GATHER_BYTES = 2.0  # of ZERO_BYTES with ZeRO-1 and 2: BF16 weights back
_HALVINGS = 60  # of the interval in which a measured step's compute is looked for


def step_time(
    job: Job, fabric: Fabric, traffic: Traffic, gpu: IntArray, first_layer: tuple[int, ...], scale: float = 1.0
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

    Raises
    ------
    InputError
        A schedule that the layout cannot run, or GPUs whose peak is unknown.
    """
    return _step(job, fabric, traffic, gpu, first_layer).at(scale)


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
    work = Work(job, first_layer, flops_of(job, fabric, gpu))
    return _Step(work, peaks(fabric, traffic, gpu), storage_flows(work, fabric, gpu))


def flops_of(job: Job, fabric: Fabric, gpu: IntArray) -> float | None:
    """Dense BF16 peak of the slowest GPU that is used; None where job and fabric do not say."""
    if job.compute is not None and job.compute.flops_per_s is not None:
        return job.compute.flops_per_s
    flops = np.array([kind.flops_per_s or 0.0 for kind in fabric.host_types])
    return float(flops[fabric.host_type[fabric.gpu_host[gpu]]].min()) or None


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
        inside = [self._axis(name, window) for name, window in self._windows(scale)]
        blocking = sum(axis.exposed_s for axis in inside) / m
        turn = _turn(work, passes, blocking)
        timing = self.schedule.timing(replace(turn, hop_s=self._hop_s()))
        axes = (*inside, *self._between(timing), *self._gradients(turn))
        compute = m * float(sum(passes).max())  # type: ignore[union-attr]
        bubble = max(0.0, timing.work_s + timing.bubble_s - compute - m * blocking)
        step = StepTime(
            self.schedule.name, compute, bubble, work.optimizer_s * scale,
            tuple(axis for axis in axes if axis.work_s > 0), self.storage,
        )  # fmt: skip
        step = replace(step, storage_s=self._storage_s(step.total_s))
        return replace(step, mfu=self._mfu(step.total_s))

    def _mfu(self, seconds: float) -> float | None:
        peak = self.work.flops_per_s
        return None if peak is None else self.work.model_flops / (seconds * peak * self.work.job.ranks)

    # ---- axes --------------------------------------------------------------------------------------------------

    def _axis(self, name: str, window_s: float) -> AxisTime:
        total = self.links.alone(name)
        stated = self.work.job.exposure.get(name)
        exposed = max(0.0, total - window_s) if stated is None else stated * total
        return AxisTime(name, total, exposed, window_s, stated is not None)

    def _windows(self, scale: float) -> list[tuple[str, float]]:
        """Axes that work inside a micro-batch, and the seconds of compute a step that they run beside."""
        work, m = self.work, self.work.batch.micro_batches
        overlap, cp = work.compute.overlap, work.parallel.cp
        whole = sum(work.passes)
        busiest = int(np.argmax(whole))
        total = m * scale * float(np.max(whole))
        core = m * 3 * scale * float(work.core_s[busiest])  # once forward and twice backward
        partners = max(0, m - work.parallel.pp + 1) / m
        paired = self.schedule.paired or "ep" in overlap
        return [
            ("tp", total - core if "tp" in overlap else 0.0),
            ("cp", core * (cp - 1) / cp if "cp" in overlap else 0.0),
            ("ep", total * partners if paired else 0.0),
        ]

    def _hop_s(self) -> float:
        """Seconds of one message between stages."""
        p, m = self.work.parallel, self.work.batch.micro_batches
        messages = m if p.pp == 2 and p.vpp == 1 else 2 * m * p.vpp
        return self.links.alone("pp") / messages

    def _between(self, timing: Timing) -> list[AxisTime]:
        total = self.links.alone("pp")
        stated = self.work.job.exposure.get("pp")
        exposed = total if "pp" not in self.work.compute.overlap else min(total, timing.hops_s)
        if stated is not None:
            exposed = stated * total
        return [AxisTime("pp", total, exposed, max(0.0, total - exposed), stated is not None)]

    def _gradients(self, turn: Pass) -> list[AxisTime]:
        """Gradients and weights of data-parallel ranks, dense and expert ones together."""
        m, overlap = self.work.batch.micro_batches, self.work.compute.overlap
        alone = {name: self.links.alone(name) for name in ("dp", "edp")}
        inside = [name for name in self.links.axes if name not in alone]
        both = self.links.together({"dp": 1.0, "edp": 1.0})
        beside = self.links.together({"dp": 1.0, "edp": 1.0} | dict.fromkeys(inside, 1.0 / m))
        window = self._gradient_window(turn, both)
        exposed = both if not {"dp", "edp"} & set(overlap) else min(both, max(0.0, self._left(turn, beside)))
        stated = self.work.job.exposure.get("dp")
        found = []
        for name, seconds in alone.items():
            mine = self.work.job.exposure.get(name, stated)
            share = exposed * seconds / sum(alone.values()) if seconds else 0.0
            found.append(AxisTime(name, seconds, share if mine is None else mine * seconds, window, mine is not None))
        return found

    def _gather(self) -> float:
        """Share of the data-parallel bytes that gathers weights."""
        zero = self.work.parallel.zero
        return _GATHER_BYTES / ZERO_BYTES[zero] if zero in (1, 2) else 0.0

    def _ends(self, turn: Pass) -> tuple[float, float]:
        """Seconds of one micro-batch on the busiest rank: forward, and backward."""
        busiest = int((turn.forward + turn.backward + turn.weights).argmax())
        return float(turn.forward[busiest]), float(turn.backward[busiest] + turn.weights[busiest])

    def _left(self, turn: Pass, seconds: float) -> float:
        """Of `seconds` of gradients and weights, what sticks out of the compute they run beside."""
        if self.work.parallel.zero == 3:
            return seconds - turn.work_s
        forward, backward = self._ends(turn)
        gather = self._gather() * seconds
        return _sticking(seconds - gather, backward, turn) + _sticking(gather, forward, turn)

    def _gradient_window(self, turn: Pass, seconds: float) -> float:
        return turn.work_s if self.work.parallel.zero == 3 else max(0.0, seconds - max(0.0, self._left(turn, seconds)))

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
