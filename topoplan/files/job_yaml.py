"""Job YAML -> Job: presets looked up, arrays read from beside the file, what does not fit refused with its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from topoplan import names
from topoplan.errors import InputError
from topoplan.files import job_shape as shape
from topoplan.files.arrays import parse_load, parse_traffic, read_array_source
from topoplan.files.inputs import STDIN, Source, read_source
from topoplan.files.marked import Marked, parse
from topoplan.files.shapes import MAX_COUNT, check
from topoplan.model.compute import OVERLAPPED, Compute, Storage
from topoplan.model.fabric import FloatArray
from topoplan.model.job import (
    DEFAULT_ORDER,
    DENSE_AXES,
    Batch,
    CustomAxis,
    CustomCollective,
    ExpertSettings,
    Job,
    ModelShape,
    Parallel,
    Routing,
)
from topoplan.model.plan import InputFile
from topoplan.model.presets import PRESETS
from topoplan.model.traffic import Traffic

MODEL_AXES = (*DENSE_AXES, "edp")


@dataclass(frozen=True, eq=False)
class ReadJob:
    """A job and the files that it was made from, by what they are to a plan: job, traffic, load."""

    job: Job
    inputs: Mapping[str, InputFile]


def read_job(path: str | Path) -> ReadJob:
    """Job of a YAML file, or of standard input for "-"; InputError when it is not one."""
    source = read_source(path)
    return parse_job(source.text, source.shown, folder=source.folder, source=source)


def parse_job(text: str, path: str = "<text>", *, folder: str | Path = ".", source: Source | None = None) -> ReadJob:
    """Job of YAML text.

    Parameters
    ----------
    path
        File name for messages.
    folder
        Where relative paths inside the text start.
    source
        The bytes that `text` comes from, when it was a file.

    Raises
    ------
    InputError
        Anything that is not a Job, with file, line and column; arrays that cannot be read.
    """
    marked = parse(text, path)
    reader = _Reader(marked, check(shape.JobFile, marked), Path(folder))
    job = reader.job()
    content = source or Source(path, text.encode())
    return ReadJob(job, {"job": InputFile(content.name, content.sha256), **reader.inputs})


class _Reader:
    """Turns a checked file into a Job; each method reads one section."""

    def __init__(self, marked: Marked, file: shape.JobFile, folder: Path) -> None:
        self.marked = marked
        self.file = file
        self.folder = folder
        self.inputs: dict[str, InputFile] = {}

    def job(self) -> Job:
        """The whole, section by section."""
        file = self.file
        model = self._model()
        parallel = self._parallel()
        ranks = self._ranks(parallel)
        batch = None
        if file.batch is not None:
            batch = Batch(file.batch.sequence, file.batch.micro_batch, file.batch.micro_batches)
        if file.traffic is None and not file.axes:
            self._need_model(model, parallel, batch)
        axes = tuple(self._axis(a, model, batch) for a in range(len(file.axes)))
        traffic = self._traffic(ranks) if file.traffic is not None else None
        self._check_exposure([axis.name for axis in axes] if traffic is None else traffic.axes, bool(axes or traffic))
        experts = self._experts(model)
        compute, storage = self._compute(), self._storage()
        with self._at("ranks" if file.ranks is not None else "axes"):
            return Job(
                file.name,
                ranks,
                model=model,
                parallel=parallel,
                order=self._order(parallel),
                batch=batch,
                exposure=dict(file.exposure),
                experts=experts,
                axes=axes,
                traffic=traffic,
                compute=compute,
                schedule=file.schedule or "",
                storage=storage,
            )

    # ---- model and layout --------------------------------------------------------------------------------------

    def _model(self) -> ModelShape | None:
        given = self.file.model
        if given is None:
            return None
        if isinstance(given, str):
            if given in PRESETS:
                return PRESETS[given]
            hint = names.closest(given.lower(), PRESETS) or f"presets: {', '.join(sorted(PRESETS))}"
            raise self._error(
                f"model {given!r} is not a preset", "model", hint=f"{hint} Or give its dimensions inline."
            )
        values = given.model_dump(exclude={"routing", "kv_heads", "head_dim"})
        with self._at("model"):
            routing = Routing(**given.routing.model_dump()) if given.routing else None
            return ModelShape(
                **values,
                kv_heads=given.kv_heads or given.heads,
                head_dim=given.head_dim or max(1, given.hidden // given.heads),
                routing=routing,
            )

    def _parallel(self) -> Parallel | None:
        given = self.file.parallel
        if given is None:
            return None
        if math.prod((given.tp, given.cp, given.dp, given.pp)) > MAX_COUNT:
            raise self._error(f"more than {MAX_COUNT} ranks", "parallel")
        with self._at("parallel"):
            return Parallel(**given.model_dump())

    def _ranks(self, parallel: Parallel | None) -> int:
        """Number of ranks, from wherever the file gives it; Job checks that all agree."""
        if self.file.ranks is not None:
            return self.file.ranks
        if self.file.axes:
            return min(math.prod(axis.size for axis in self.file.axes), MAX_COUNT + 1)
        if parallel is not None:
            return parallel.world
        needs = "traffic needs ranks: the number of processes" if self.file.traffic else "parallel is missing"
        raise self._error(needs, "traffic" if self.file.traffic else "model")

    def _need_model(self, model: ModelShape | None, parallel: Parallel | None, batch: Batch | None) -> None:
        given = {"model": model, "parallel": parallel, "batch": batch}
        lost = [name for name, value in given.items() if value is None]
        if lost:
            raise self._error(
                f"{lost[0]} is missing", hint="a job has model, parallel and batch, or traffic with ranks, or axes"
            )

    def _order(self, parallel: Parallel | None) -> str:
        """The order with the axes it leaves out at its end, as Megatron-core does; those must be of size 1."""
        if self.file.order is None:
            return DEFAULT_ORDER
        listed = self.file.order.split("-")
        for axis in listed:
            if axis not in DENSE_AXES or listed.count(axis) > 1:
                problem = "stands twice in" if axis in DENSE_AXES else "is not an axis of"
                hint = f"name {', '.join(DENSE_AXES)} once each, joined by '-'"
                raise self._error(f"{axis!r} {problem} order {self.file.order}", "order", hint=hint)
        for axis in DENSE_AXES:
            if axis not in listed and parallel is not None and getattr(parallel, axis) > 1:
                raise self._error(f"order {self.file.order} leaves out {axis}, whose size is above 1", "order")
        return "-".join([*listed, *(axis for axis in DENSE_AXES if axis not in listed)])

    def _check_exposure(self, axes: list[str] | tuple[str, ...], own: bool) -> None:
        known = axes if own else MODEL_AXES
        for axis in self.file.exposure:
            if axis not in known:
                hint = names.closest(axis, known) or f"axes: {', '.join(known)}"
                message = f"exposure names {axis!r}, which is not an axis of this job"
                raise self.marked.error(message, ("exposure", axis), key=True, hint=hint)

    def _compute(self) -> Compute | None:
        given = self.file.compute
        if given is None:
            return None
        if self.file.traffic is not None or self.file.axes or self.file.model is None:
            hint = "jobs with traffic or axes of their own say `exposure`, or `overlap`, themselves"
            raise self._error("compute needs model, parallel and batch", "compute", hint=hint)
        for i, axis in enumerate(given.overlap or ()):
            if axis not in MODEL_AXES:
                hint = names.closest(axis, MODEL_AXES) or f"axes: {', '.join(MODEL_AXES)}"
                raise self._error(f"{axis!r} is not an axis", "compute", "overlap", i, hint=hint)
        with self._at("compute"):
            return Compute(
                given.mfu,
                given.step_time,
                given.flops,
                given.precision,
                given.recompute or "",
                given.fused_attention,
                OVERLAPPED if given.overlap is None else tuple(sorted(set(given.overlap))),
            )

    def _storage(self) -> Storage | None:
        given = self.file.storage
        if given is None:
            return None
        with self._at("storage"):
            return Storage(given.network, given.checkpoint_every, given.checkpoint, given.data)

    # ---- custom axes -------------------------------------------------------------------------------------------

    def _axis(self, a: int, model: ModelShape | None, batch: Batch | None) -> CustomAxis:
        item = self.file.axes[a]
        if item.name in [axis.name for axis in self.file.axes[:a]]:
            raise self._error(f"axis {item.name} is listed twice", "axes", a, "name")
        if math.prod(axis.size for axis in self.file.axes) > MAX_COUNT:
            raise self._error(f"the axes make more than {MAX_COUNT} ranks", "axes")
        collectives = []
        for c, given in enumerate(item.collectives):
            with self._at("axes", a, "collectives", c, "per"):
                count = math.prod(self._calls(per, model, batch) for per in given.per)
            collectives.append(CustomCollective(given.op, given.size, count, given.overlap))
        return CustomAxis(item.name, item.size, tuple(collectives))

    @staticmethod
    def _calls(per: int | str, model: ModelShape | None, batch: Batch | None) -> int:
        """Calls a step of one factor of `per`."""
        if isinstance(per, int):
            return per
        known = {
            "step": 1,
            "layer": model.layers if model else 0,
            "micro_batch": batch.micro_batches if batch else 0,
        }
        if not known[per]:
            section = {"layer": "model", "micro_batch": "batch"}[per]
            raise InputError(f"per: {per} needs {section}", hint="or give the number of calls a step")
        return known[per]

    # ---- arrays ------------------------------------------------------------------------------------------------

    def _traffic(self, ranks: int) -> Traffic:
        assert self.file.traffic is not None
        source = self._open("traffic", self.file.traffic, "traffic")
        return parse_traffic(source, ranks)

    def _experts(self, model: ModelShape | None) -> ExpertSettings | None:
        given = self.file.experts
        if given is None:
            return None
        layers = tuple(given.moe_layers or ())
        if model is not None and layers and max(layers) >= model.layers:
            raise self._error(
                f"the model has layers 0 to {model.layers - 1}, not {max(layers)}", "experts", "moe_layers"
            )
        if model is not None and not layers:
            layers = tuple(layer for layer in range(model.layers) if model.is_moe(layer))
        load: FloatArray | None = None
        if given.load is not None:
            load = parse_load(self._open("load", given.load, "experts", "load"), layers)
            layers = layers or tuple(range(len(load)))
            self._check_load(load, layers, model)
        return ExpertSettings(given.slots_per_gpu, load, layers)

    def _check_load(self, load: FloatArray, layers: tuple[int, ...], model: ModelShape | None) -> None:
        rows, experts = load.shape
        if rows != len(layers):
            raise self._error(
                f"the load has {rows} layers, moe_layers {len(layers)}", "experts", "load",
                hint="moe_layers lists the model layer of each row, such as 3-60",
            )  # fmt: skip
        if model is not None and model.routing is not None and experts != model.routing.experts:
            raise self._error(f"the load has {experts} experts, the model {model.routing.experts}", "experts", "load")

    def _open(self, what: str, path: str, *loc: str | int) -> Source:
        """Content of a file named at `loc`, remembered as the input `what`."""
        if path == STDIN:
            raise self._error("arrays are read from files, not from standard input", *loc)
        try:
            source = read_array_source(self.folder / path)
        except InputError as error:
            raise self._error(f"{path} {error.message}", *loc, hint="paths are relative to the job file") from None
        self.inputs[what] = InputFile(source.name, source.sha256)
        return source

    # ---- errors ------------------------------------------------------------------------------------------------

    def _error(self, message: str, *loc: str | int, hint: str = "") -> InputError:
        return self.marked.error(message, loc, hint=hint)

    @contextmanager
    def _at(self, *loc: str | int) -> Iterator[None]:
        """Give errors of the model, which knows no files, the place of `loc`."""
        try:
            yield
        except InputError as error:
            if error.place is None:
                raise self._error(error.message, *loc, hint=error.hint) from None
            raise
