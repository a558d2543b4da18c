"""Expert maps for engines: their files, and what whoever uses them should know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from topoplan.cli import render
from topoplan.errors import InfeasibleError
from topoplan.experts import (
    DEFAULT_FORMATS,
    RANK_COSTS,
    RANK_COSTS_FILE,
    RANK_COSTS_USAGE,
    ExpertMapRequest,
    get_format,
    write_rank_costs,
)
from topoplan.model.plan import Plan
from topoplan.planning.expert_inputs import LayerNumbers


@dataclass(frozen=True, eq=False)
class MapFiles:
    """Content by file name, how an engine is told to use each, and what it does not hold."""

    content: dict[str, bytes] = field(default_factory=dict)
    usage: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def say(self) -> None:
        """Print usage and notes on stderr."""
        for name, text in self.usage.items():
            render.note(f"{name}: {text}")
        render.notes("note", self.notes)


def map_files(plan: Plan, names: Iterable[str], numbers: LayerNumbers) -> MapFiles:
    """Files of formats of expert maps, and of SGLang's rank costs, for a plan with experts.

    Parameters
    ----------
    names
        Formats that were asked for; the default ones when empty, as far as they can say what the plan says.

    Raises
    ------
    InputError
        No such format; or rank costs of a plan that is on no fabric.
    InfeasibleError
        A format cannot say what the plan says.
    """
    assert plan.experts is not None
    made = MapFiles()
    asked = list(dict.fromkeys(names))
    for name in asked or DEFAULT_FORMATS:
        if name == RANK_COSTS:
            _add_rank_costs(made, plan)
            continue
        form = get_format(name)
        layers, total = numbers.moe_layers, numbers.model_layers
        try:
            made.content.update(form.write(plan.experts, moe_layers=layers, model_layers=total))
        except InfeasibleError as error:
            if asked:
                raise
            made.notes.append(f"no map for {name}: {error.message}")
            continue
        made.usage[form.file_name] = form.usage(ExpertMapRequest(plan.experts, layers, total))
        made.notes.extend(form.notes(plan.experts, moe_layers=layers))
    return made


def _add_rank_costs(made: MapFiles, plan: Plan) -> None:
    from topoplan.planning.api import rank_costs  # noqa: PLC0415 - only those who want them pay for it

    made.content[RANK_COSTS_FILE] = write_rank_costs(rank_costs(plan))
    made.usage[RANK_COSTS_FILE] = RANK_COSTS_USAGE
    assert plan.experts is not None
    extra = plan.experts.slots - plan.experts.experts
    if extra:
        made.notes.append(f"{RANK_COSTS_FILE}: the proposal refuses redundant experts, this plan has {extra} a layer")
