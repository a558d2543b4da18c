"""Which model the experts belong to: named, or taken from the presets by its number of experts."""

from __future__ import annotations

from topoplan.errors import InputError
from topoplan.model.job import ModelShape
from topoplan.model.presets import PRESETS
from topoplan.names import closest


def model_of(name: str, experts: int) -> tuple[ModelShape | None, tuple[str, ...]]:
    """Model and what was assumed about it; None where nothing is known.

    Parameters
    ----------
    name
        Preset; "" takes the only preset with this number of experts.

    Raises
    ------
    InputError
        No such preset, or one with another number of experts.
    """
    if name:
        shape = PRESETS.get(name)
        if shape is None:
            hint = closest(name, PRESETS) or f"presets: {', '.join(sorted(PRESETS))}"
            raise InputError(f"no model preset {name!r}", hint=hint)
        count = shape.routing.experts if shape.routing else 0
        if count != experts:
            raise InputError(f"model {name} has {count} experts, the load has {experts}")
        return shape, ()
    fitting = [shape for shape in PRESETS.values() if shape.routing and shape.routing.experts == experts]
    if len(fitting) != 1:
        return None, ()
    return fitting[0], (f"the model is {fitting[0].name}, for its {experts} experts (--model)",)
