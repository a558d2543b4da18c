"""Study YAML -> Study: fabrics and jobs read, their variants made, what does not fit refused with its place."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.inputs import STDIN, Source, read_source
from topoplan.files.job_text import format_job
from topoplan.files.job_yaml import ReadJob, parse_job
from topoplan.files.marked import Marked, parse
from topoplan.files.shapes import MAX_COUNT, check
from topoplan.files.study_shape import EachFailure, FabricItem, JobItem, RandomFailure, StudyFile
from topoplan.model.fabric import Fabric
from topoplan.names import closest
from topoplan.planning.fabric_files import kind_of
from topoplan.planning.inputs import open_fabric
from topoplan.studies.fabrics import changed, is_change
from topoplan.studies.failures import NONE
from topoplan.studies.model import FabricVariant, FailureSpec, JobVariant, Study, Value
from topoplan.topologies import catalog

MAX_VARIANTS = 20_000  # of fabrics or of jobs; assumed: more take longer to make than anyone waits

Loc = tuple[str | int, ...]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Instead:
    """Fabrics and jobs that take the place of those of a study, so that its question is asked of them.

    Parameters
    ----------
    topologies
        Files or catalogue names; what a study varies of any fabric, such as its routing, is varied of these.
    jobs
        Job files.
    host_type
        Of the hosts of foreign files.
    """

    topologies: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    host_type: str | None = None


def read_study(path: str | Path, questions: Sequence[str] = (), instead: Instead | None = None) -> Study:
    """Study of a YAML file, or of standard input for "-"; see `parse_study`."""
    source = read_source(path)
    return parse_study(source.text, source.shown, folder=source.folder, questions=questions, instead=instead)


def parse_study(
    text: str,
    path: str = "<text>",
    *,
    folder: str | Path = ".",
    questions: Sequence[str] = (),
    instead: Instead | None = None,
) -> Study:
    """Study of YAML text.

    Parameters
    ----------
    path
        File name for messages.
    folder
        Where relative paths inside the text start.
    questions
        Names that `question` may have; any where empty.
    instead
        Fabrics and jobs to ask of instead.

    Raises
    ------
    InputError
        Anything that is not a Study, with file, line and column; a fabric or job that cannot be read, or an item of
        which no combination makes one.
    """
    marked = parse(text, path)
    file = check(StudyFile, marked)
    return _Reader(marked, _replaced(file, instead or Instead()), Path(folder)).study(questions)


def _replaced(file: StudyFile, instead: Instead) -> StudyFile:
    """The file with other fabrics or jobs."""
    changes: dict[str, Any] = {}
    if instead.topologies:
        vary = {key: values for item in file.fabrics for key, values in item.vary.items() if is_change(key)}
        changes["fabrics"] = [
            FabricItem(topology=_here(spec), host_type=instead.host_type, vary=vary) for spec in instead.topologies
        ]
    if instead.jobs:
        changes["jobs"] = [JobItem(file=_here(path), job=None, ranks=None, global_batch=None) for path in instead.jobs]
    return file.model_copy(update=changes)


def _here(path: str) -> str:
    """Path that means the same from any folder; names of the catalogue stay."""
    return str(Path(path).absolute()) if _exists(Path(path)) else path


class _Reader:
    """Turns a checked file into a Study; each method reads one section."""

    def __init__(self, marked: Marked, file: StudyFile, folder: Path) -> None:
        self.marked = marked
        self.file = file
        self.folder = folder

    def study(self, questions: Sequence[str]) -> Study:
        """The whole, section by section."""
        file = self.file
        if file.question is not None and questions and file.question not in questions:
            hint = closest(file.question, questions) or f"questions: {', '.join(sorted(questions))}"
            raise self.marked.error(f"no rule answers {file.question!r}", ("question",), hint=hint)
        failures = tuple(self._failure(i, item) for i, item in enumerate(file.failures))
        return Study(
            file.name,
            file.about,
            file.question or "",
            file.tolerance,
            tuple(v for i, item in enumerate(file.fabrics) for v in self._fabrics(i, item)),
            tuple(v for i, item in enumerate(file.jobs) for v in self._jobs(i, item)),
            tuple(file.orders),
            failures or (FailureSpec(),),
            tuple(file.after),
            file.search,
            file.seed,
        )

    def _failure(self, i: int, item: str | EachFailure | RandomFailure) -> FailureSpec:
        if isinstance(item, str):
            return FailureSpec(NONE)
        if isinstance(item, EachFailure):
            return FailureSpec(item.each)
        for c, count in enumerate(item.count):
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
                message = f"count must be a whole number of at least 1, not {count!r}"
                raise self.marked.error(message, ("failures", i, "count", c))
        return FailureSpec(item.random, tuple(item.count), item.draws, item.seed)

    # ---- fabrics -----------------------------------------------------------------------------------------------

    def _fabrics(self, i: int, item: FabricItem) -> list[FabricVariant]:
        loc: Loc = ("fabrics", i)
        own = {key: values for key, values in item.vary.items() if is_change(key)}
        sizes = {key: values for key, values in item.vary.items() if key not in own}
        bases = [(given, self._base(loc, item, given)) for given in self._grid(sizes, (*loc, "vary"))]
        made: list[tuple[FabricVariant, InputError | None]] = []
        for (given, base), wanted in itertools.product(bases, self._grid(own, (*loc, "vary"))):
            varied = {key: (given | wanted)[key] for key in item.vary}
            try:
                if isinstance(base, InputError):
                    raise base
                fabric = changed(base, wanted)
            except InputError as error:
                made.append((FabricVariant(item.name or "", varied, None, _sha(error.message), error.message), error))
            else:
                name = item.name or base.name
                made.append((FabricVariant(name, varied, fabric, _sha(format_fabric(fabric))), None))
        return self._some(made, loc)

    def _base(self, loc: Loc, item: FabricItem, given: Mapping[str, Value]) -> Fabric | InputError:
        """Fabric of an item with parameters of the catalogue, or why these values make none."""
        try:
            return self._open(item, given)
        except InputError as error:
            if given:
                return error
            raise self._placed(error, (*loc, "topology")) from None

    def _open(self, item: FabricItem, given: Mapping[str, Value]) -> Fabric:
        if item.topology == STDIN:
            raise InputError("a fabric of a study is a file or of the catalogue, not standard input")
        path = self.folder / item.topology
        name, fixed = ("", {}) if _exists(path) else catalog.parse_spec(item.topology)
        if given and not name:
            key = next(iter(given))
            return changed(open_fabric(str(path), host_type=item.host_type).fabric, {key: given[key]})  # says what may
        if name and catalog.known(name) and item.host_type is None:
            # values may hold commas, which a NAME:key=value text cannot tell
            truths = [key for key, value in given.items() if isinstance(value, bool)]
            if truths:
                raise InputError(f"parameter {truths[0]} is {given[truths[0]]}, not a number")
            return parse_fabric(catalog.text(name, **{**fixed, **given}), f"{name}.yaml")
        return open_fabric(item.topology if name else str(path), host_type=item.host_type).fabric

    # ---- jobs --------------------------------------------------------------------------------------------------

    def _jobs(self, i: int, item: JobItem) -> list[JobVariant]:
        loc: Loc = ("jobs", i)
        if (item.file is None) == (item.job is None):
            raise self.marked.error("a job is either a file or given under job", loc)
        data, shown, folder = self._job_data(loc, item)
        plain = not item.vary and item.global_batch is None
        made: list[tuple[JobVariant, InputError | None]] = []
        for varied in self._grid(item.vary, (*loc, "vary")):
            try:
                read = self._job(_with(data, varied), item, shown, folder)
            except InputError as error:
                if plain and item.file is not None:
                    raise  # it names the place in that file
                made.append((JobVariant(item.name or "", varied, None, _sha(error.message), error.message), error))
                continue
            if item.ranks is None or read.job.ranks == item.ranks:
                arrays = [file.sha256 for kind, file in sorted(read.inputs.items()) if kind != "job"]
                digest = _sha(format_job(read.job) + "".join(arrays))
                made.append((JobVariant(item.name or read.job.name, varied, read.job, digest), None))
        if not made:
            raise self.marked.error(f"no combination has {item.ranks} ranks", (*loc, "ranks"))
        return self._some(made, loc)

    def _job_data(self, loc: Loc, item: JobItem) -> tuple[dict[str, Any], str, Path]:
        """Content of a job, its name for messages, and the folder that its paths are relative to."""
        if item.file is None:
            head = {"apiVersion": "topoplan/v1", "kind": "Job", "name": item.name or self.file.name}
            return {**head, **(item.job or {})}, f"{self.marked.path} (job {loc[1]})", self.folder
        if item.file == STDIN:
            raise self.marked.error("a job of a study is a file, not standard input", (*loc, "file"))
        try:
            source = read_source(self.folder / item.file)
            content = parse(source.text, source.shown)
        except InputError as error:
            raise self._placed(error, (*loc, "file")) from None
        if not isinstance(content.data, dict) or kind_of(source.text) not in ("", "Job"):
            raise self.marked.error(f"{item.file} is not a Job", (*loc, "file"))
        if not item.vary and item.global_batch is None:
            parse_job(source.text, source.shown, folder=source.folder)  # errors with their place in the file
        return content.data, source.shown, source.folder

    def _job(self, data: dict[str, Any], item: JobItem, shown: str, folder: Path) -> ReadJob:
        if item.global_batch is not None:
            data = _batched(data, item.global_batch)
        text = json.dumps(data, ensure_ascii=False)  # JSON is YAML, and leaves no text to be taken for a number
        read = parse_job(text, shown, folder=folder, source=Source(shown, text.encode()))
        return replace(read, job=replace(read.job, name=item.name)) if item.name else read

    # ---- both --------------------------------------------------------------------------------------------------

    def _grid(self, values: Mapping[str, Sequence[Value]], loc: Loc) -> Iterator[dict[str, Value]]:
        """Every combination of values, the last key changing fastest."""
        if math.prod(len(listed) for listed in values.values()) > MAX_VARIANTS:
            raise self.marked.error(f"more than {MAX_VARIANTS} combinations", loc)
        return (dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values()))

    def _some(self, made: Sequence[tuple[Made, InputError | None]], loc: Loc) -> list[Made]:
        """All variants, those that make nothing too, unless none makes anything."""
        errors = [error for _, error in made if error is not None]
        if len(errors) == len(made):
            raise self._placed(errors[0], loc)
        return [variant for variant, _ in made]

    def _placed(self, error: InputError, loc: Loc) -> InputError:
        """The error at a place of the study; what it says of its own place becomes part of the message."""
        where = f"{error.place}: " if error.place is not None and error.place.line else ""
        return self.marked.error(f"{where}{error.message}", loc, hint=error.hint)


def _with(data: Mapping[str, Any], varied: Mapping[str, Value]) -> dict[str, Any]:
    """Copy of a job's data with values at dotted keys."""
    result: dict[str, Any] = json.loads(json.dumps(data)) if varied else dict(data)
    for key, value in varied.items():
        *above, last = key.split(".")
        here = result
        for part in above:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise InputError(f"{key!r} cannot be varied: {part} is not a mapping in the job")
        here[last] = value
    return result


def _batched(data: Mapping[str, Any], sequences: int) -> dict[str, Any]:
    """Copy of a job's data with as many micro-batches as make a step of `sequences` sequences."""
    parallel, batch = data.get("parallel"), data.get("batch")
    if not isinstance(parallel, dict) or not isinstance(batch, dict):
        raise InputError("global_batch needs a job with parallel and batch")
    each = _product(parallel.get("dp", 1), batch.get("micro_batch", 1))
    if not each or sequences % each:
        raise InputError(f"a global batch of {sequences} sequences does not divide into dp x micro_batch = {each}")
    return {**data, "batch": {**batch, "micro_batches": sequences // each}}


def _product(*factors: object) -> int:
    """Product of whole numbers, 0 where one is something else."""
    result = 1
    for factor in factors:
        result *= factor if isinstance(factor, int) and factor > 0 else 0
    return result


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
