"""What every expert-map format is made of: a placement in, a file's bytes out, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import ExpertPlacement
from topoplan.model.fabric import IntArray


@dataclass(frozen=True, eq=False)
class ExpertMapRequest:
    """What a map is to be written for.

    Parameters
    ----------
    moe_layers
        Model layer of each row of the placement, ascending; empty when rows are the model's layers from 0.
    layers
        Layers of the model, dense ones too; 0 for none after the last row's.

    Raises
    ------
    InputError
        `moe_layers` does not fit the placement or `layers`.
    """

    placement: ExpertPlacement
    moe_layers: tuple[int, ...] = ()
    layers: int = 0

    def __post_init__(self) -> None:
        rows = self.placement.layers
        if not self.moe_layers:
            object.__setattr__(self, "moe_layers", tuple(range(rows)))
        if len(self.moe_layers) != rows:
            raise InputError(f"{len(self.moe_layers)} MoE layers are listed, the map has {rows}")
        check_layers(self.moe_layers)
        if not self.layers:
            object.__setattr__(self, "layers", self.moe_layers[-1] + 1)
        if self.moe_layers[-1] >= self.layers:
            raise InputError(f"MoE layer {self.moe_layers[-1]} is beyond the model's {self.layers} layers, 0 the first")

    @property
    def redundant(self) -> int:
        """Slots beyond one for each expert."""
        return self.placement.slots - self.placement.experts


Writer = Callable[[ExpertMapRequest], bytes]
Reader = Callable[[bytes, tuple[int, ...]], IntArray]


@dataclass(frozen=True, eq=False)
class ExpertMapFormat:
    """A format of expert maps.

    Parameters
    ----------
    file_name
        What the file is called.
    usage
        How an engine is told to use the file, for a request.
    writer, reader
        Used through `write` and `read`.
    """

    name: str
    file_name: str
    description: str
    usage: Callable[[ExpertMapRequest], str]
    writer: Writer
    reader: Reader

    def write(
        self, placement: ExpertPlacement, *, moe_layers: tuple[int, ...] = (), model_layers: int = 0
    ) -> dict[str, bytes]:
        """Content of each file by name, the same bytes for the same placement.

        Parameters
        ----------
        moe_layers
            Model layer of each row of the placement, ascending; empty when rows are the model's layers from 0.
        model_layers
            Layers of the model, dense ones too; 0 for none after the last row's.

        Raises
        ------
        InfeasibleError
            The format cannot say what the placement says.
        InputError
            The layers do not fit the placement.
        """
        return {self.file_name: self.writer(ExpertMapRequest(placement, moe_layers, model_layers))}

    def read(self, data: bytes, moe_layers: tuple[int, ...] = ()) -> IntArray:
        """[layers, slots] int64 expert in each slot.

        Parameters
        ----------
        moe_layers
            Model layers wanted, where the format lists dense ones too; empty for every row of the file.

        Raises
        ------
        InputError
            The file is broken, or has not these layers.
        """
        return self.reader(data, moe_layers)


def check_layers(layers: tuple[int, ...]) -> None:
    """Raise InputError unless layers ascend from 0 or more."""
    if any(later <= earlier for earlier, later in zip((-1, *layers), layers, strict=False)):
        raise InputError("MoE layers must be listed in ascending order, 0 or above")


def check_even(placement: ExpertPlacement, name: str) -> None:
    """Raise InfeasibleError unless every GPU has as many slots, all used in every layer, numbered GPU by GPU."""
    if not placement.even:
        raise InfeasibleError(
            f"{name} finds a slot's GPU as slot // (slots / GPUs), so every GPU needs as many slots in every layer",
            hint="plan with the same number of slots on each GPU",
        )


def check_map(array: npt.ArrayLike, experts: int | None = None) -> IntArray:
    """[layers, slots] int64, or InputError when it is no such array or an expert has no slot.

    Parameters
    ----------
    experts
        Logical experts of each layer; the highest in the map + 1 when not known.
    """
    found = np.asarray(array)
    if found.ndim != 2 or not found.size or not np.issubdtype(found.dtype, np.integer):
        raise InputError("an expert map needs whole numbers in the shape [layers, slots]")
    count = int(found.max()) + 1 if experts is None else experts
    if found.min() < 0 or found.max() >= count:
        raise InputError(f"the map names an expert that does not exist (0 to {count - 1})")
    for layer, row in enumerate(found):
        missing = np.flatnonzero(np.bincount(row, minlength=count) == 0)
        if missing.size:
            raise InputError(f"row {layer}: expert {missing[0]} has no slot")
    return found.astype(np.int64)
