"""What a plan folder keeps of an outcome, read back: experts/outcome.json and the loads that were planned for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.arrays import load_bytes, read_load, routes_bytes
from topoplan.files.inputs import read_source
from topoplan.files.plan_json import format_plan, parse_plan
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import FloatArray
from topoplan.model.plan import Plan
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_choice import Choice
from topoplan.planning.expert_curve import Curve
from topoplan.planning.expert_engines import Judgement
from topoplan.planning.expert_inputs import LayerNumbers
from topoplan.planning.expert_moves import ChunkRow, Migration
from topoplan.planning.expert_outcome import ExpertOutcome, Foretold, Survival
from topoplan.planning.expert_request import ExpertRequest
from topoplan.planning.expert_slots import SlotSweep
from topoplan.solvers.experts.forecast import foretell

OUTCOME, MOVES, PLANNED = "experts/outcome.json", "experts/moves.json", "experts/load.npy"
LOAD, ROUTES, PREVIOUS = "inputs/load.npy", "inputs/routes.npz", "inputs/previous.json"
_PARTS: dict[str, Any] = {
    "balance": Balance,
    "survival": Survival,
    "judgement": Judgement,
    "sweep": SlotSweep,
    "forecast": Foretold,
    "curve": Curve,
    "choice": Choice,
}
_FIELDS = {"forecast": "foretold"}  # where the record's word is not the outcome's


@dataclass(frozen=True)
class _Change:
    """A migration as its record has it."""

    slots: int
    share: float
    bytes: float | None
    seconds: float | None
    before: float
    after: float
    left: tuple[int, ...]
    lost: tuple[str, ...]
    chunks: tuple[ChunkRow, ...]

    def migration(self) -> Migration:
        """The migration without its single moves."""
        return Migration(
            self.slots, self.share, self.bytes, self.seconds, self.before, self.after, self.left, self.lost,
            rows=self.chunks, chunks=(),
        )  # fmt: skip


def planned_load(request: ExpertRequest, outcome: ExpertOutcome) -> FloatArray:
    """[layers, experts] float64 that was planned for: the load given, or what its history foretold."""
    if outcome.foretold is None:
        return request.load
    return foretell(request.load, outcome.foretold.method)


def outcome_files(request: ExpertRequest, outcome: ExpertOutcome, numbers: LayerNumbers) -> dict[str, str | bytes]:
    """Files of a plan folder, by path: the outcome, what moves, and canonical copies of the inputs."""
    record = outcome.record()
    if numbers.moe_layers:
        record["rows"] = {"moe_layers": numbers.moe_layers, "model_layers": numbers.model_layers}
    files: dict[str, str | bytes] = {
        OUTCOME: json.dumps(record, indent=1) + "\n",
        LOAD: load_bytes(request.load),
    }
    if outcome.foretold is not None:
        files[PLANNED] = load_bytes(planned_load(request, outcome))
    if request.routes is not None:
        files[ROUTES] = routes_bytes(request.routes)
    if request.previous is not None:
        files[PREVIOUS] = format_plan(request.previous)
    if outcome.migration is not None:
        files[MOVES] = json.dumps(outcome.migration.record()) + "\n"
    return files


def read_outcome(folder: Path, plan: Plan) -> ExpertOutcome | None:
    """Outcome of a plan folder, without the single moves; None where it has none.

    Raises
    ------
    InputError
        The file is not what `outcome_files` writes.
    """
    record = _record(folder)
    if record is None:
        return None
    with _ours(folder / OUTCOME):
        found = {name: _parse(kind, record[name]) for name, kind in _PARTS.items() if name in record}
        if "change" in record:
            found["migration"] = _parse(_Change, record["change"]).migration()
        return ExpertOutcome(plan, **{_FIELDS.get(name, name): part for name, part in found.items()})


def read_numbers(folder: Path) -> LayerNumbers:
    """Model layers of the rows of a plan folder's map, as far as it says; errors as those of `read_outcome`."""
    record = _record(folder) or {}
    with _ours(folder / OUTCOME):
        return _parse(LayerNumbers, record["rows"]) if "rows" in record else LayerNumbers()


def _record(folder: Path) -> dict[str, Any] | None:
    """Plain data of the outcome file; None where there is none."""
    if not (folder / OUTCOME).is_file():
        return None
    with _ours(folder / OUTCOME):
        return dict(json.loads(read_source(folder / OUTCOME).text))


def _parse(kind: Any, data: Any) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - only those who read one back pay for it

    return TypeAdapter(kind).validate_python(data)


@contextmanager
def _ours(file: Path) -> Iterator[None]:
    """Errors of a file that is not ours as one InputError; pydantic's are ValueErrors too."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(
            f"not what topoplan wrote there: {reason}",
            place=Place(str(file)),
            hint="make the plan again, or remove the file",
        ) from None


def read_planned_load(folder: Path) -> FloatArray | None:
    """[layers, experts] float64 that a plan folder was planned for; None where it holds no load."""
    for name in (PLANNED, LOAD):
        if (folder / name).is_file():
            return read_load(folder / name)
    return None


def read_previous(folder: Path) -> ExpertPlacement | None:
    """Experts of the plan that was in force before the one of a folder; None where it was planned afresh."""
    file = folder / PREVIOUS
    if not file.is_file():
        return None
    source = read_source(file, limit=2**30)
    with _ours(file):
        record = json.loads(source.text)
        record.pop("placement", None)  # only its experts are wanted, which need no fabric
    return parse_plan(json.dumps(record), None, source.shown).experts
