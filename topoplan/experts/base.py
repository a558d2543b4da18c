"""What every expert-map format is made of: a placement in, a file's bytes out, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topoplan.errors import InfeasibleError, InputError
from topoplan.model.experts import EMPTY, ExpertPlacement
from topoplan.model.fabric import IntArray

MAX_BYTES = 2**28  # a map of 128 layers and 4,096 slots takes 3 MB as text


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


@dataclass(frozen=True, eq=False)
class ReadMap:
    """What a file says.

    Parameters
    ----------
    rows
        [layers, slots] int64 expert in each slot, GPU by GPU; -1 where a layer leaves a slot out.
    gpus
        GPUs that the slots are spread over evenly; 0 where the file does not say.
    """

    rows: IntArray
    gpus: int = 0


Writer = Callable[[ExpertMapRequest], bytes]
Reader = Callable[[bytes, tuple[int, ...]], ReadMap]


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
    dispatch
        How the engine spreads an expert's tokens over its copies: no format holds dispatch weights.
    lost
        What else of a placement the file does not hold; empty for nothing.
    model_layers
        Rows of the file belong to layers of the model by number, so it matters which layers are MoE layers.
    experimental
        No release of the engine reads it yet: it is an open proposal.
    """

    name: str
    file_name: str
    description: str
    usage: Callable[[ExpertMapRequest], str]
    writer: Writer
    reader: Reader
    dispatch: str = ""
    lost: str = ""
    model_layers: bool = False
    experimental: bool = False

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

    def notes(self, placement: ExpertPlacement, *, moe_layers: tuple[int, ...] = ()) -> tuple[str, ...]:
        """What whoever uses the file should know: what it does not hold, and what was assumed."""
        found = []
        if self.experimental:
            found.append(f"{self.file_name}: {self.description}")
        if placement.dispatch is not None or placement.dispatch_slot is not None:
            found.append(f"{self.file_name} cannot hold the planned dispatch, which plan.json has: {self.dispatch}")
        if self.lost:
            found.append(f"{self.file_name}: {self.lost}")
        if self.model_layers and not moe_layers:
            found.append(
                f"{self.file_name} numbers the model's layers and the rows were taken as layers "
                f"0 to {placement.layers - 1}: say which layers are MoE layers if the model begins with dense ones"
            )
        return tuple(found)

    def read(self, data: bytes, moe_layers: tuple[int, ...] = ()) -> IntArray:
        """[layers, slots] int64 expert in each slot; -1 where a layer leaves a slot out.

        Parameters
        ----------
        moe_layers
            Model layers wanted, where the format numbers them; else only their count matters. Empty: every row.

        Raises
        ------
        InputError
            The file is broken or too large, or has not these layers.
        """
        return self._read(data, moe_layers).rows

    def read_placement(self, data: bytes, *, gpus: int = 0, moe_layers: tuple[int, ...] = ()) -> ExpertPlacement:
        """The file as a placement, for instance as the previous one of the next plan.

        Parameters
        ----------
        gpus
            GPUs that slots are spread over evenly; 0 takes what the file says, where it does.
        moe_layers
            As in `read`.

        Raises
        ------
        InputError
            As `read`; or the GPUs are not known, are others than the file's, or do not divide the slots.
        """
        found = self._read(data, moe_layers)
        if not (gpus or found.gpus):
            raise InputError(f"{self.name} maps do not say how many GPUs there are", hint="give the number of GPUs")
        if gpus and found.gpus and gpus != found.gpus:
            raise InputError(f"the map is for {found.gpus} GPUs, not for {gpus}")
        return ExpertPlacement(gpus or found.gpus, found.rows)

    def _read(self, data: bytes, moe_layers: tuple[int, ...]) -> ReadMap:
        if len(data) > MAX_BYTES:
            raise InputError(f"an expert map of {len(data)} bytes; at most {MAX_BYTES} are read")
        check_layers(moe_layers)
        return self.reader(data, moe_layers)


def check_layers(layers: tuple[int, ...]) -> None:
    """Raise InputError unless layers ascend from 0 or more."""
    if any(later <= earlier for earlier, later in zip((-1, *layers), layers, strict=False)):
        raise InputError("MoE layers must be listed in ascending order, 0 or above")


def check_even(request: ExpertMapRequest, name: str) -> None:
    """Raise InfeasibleError unless every GPU has as many slots, all used in every layer, numbered GPU by GPU."""
    place = request.placement
    if place.even:
        return
    unused = np.flatnonzero((place.physical_to_logical_map == EMPTY).any(1))
    counts = np.bincount(place.slot_gpu, minlength=place.gpus)
    odd = int(np.flatnonzero(counts != counts[0])[0]) if (counts != counts[0]).any() else 0
    clash = (
        f"layer {request.moe_layers[int(unused[0])]} leaves slots out"
        if unused.size
        else f"GPU 0 has {counts[0]} slots and GPU {odd} has {counts[odd]} in every layer"
    )
    raise InfeasibleError(
        f"{name} finds a slot's GPU as slot // (slots / GPUs), so each GPU needs as many slots in each layer: {clash}",
        hint="plan with the same number of slots on each GPU",
    )


def check_no_twins(request: ExpertMapRequest, name: str) -> None:
    """Raise InfeasibleError when a GPU holds an expert twice in a layer."""
    place = request.placement
    for row, experts in enumerate(place.physical_to_logical_map):
        key = np.sort((place.slot_gpu * place.experts + experts)[experts >= 0])
        twin = np.flatnonzero(key[1:] == key[:-1])
        if twin.size:
            gpu, expert = divmod(int(key[twin[0]]), place.experts)
            raise InfeasibleError(
                f"{name} maps hold an expert once a GPU: layer {request.moe_layers[row]} has expert {expert} twice "
                f"on GPU {gpu}",
                hint="plan again without it as the previous placement, or with fewer slots",
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
    if count > found.shape[1]:  # before anything is made as large as a hostile number says
        raise InputError(f"the map has {count} experts, but {found.shape[1]} slots: each expert needs one")
    for layer, row in enumerate(found):
        missing = np.flatnonzero(np.bincount(row, minlength=count) == 0)
        if missing.size:
            raise InputError(f"row {layer}: expert {missing[0]} has no slot")
    return found.astype(np.int64)


def pick_rows(rows: IntArray, moe_layers: tuple[int, ...]) -> IntArray:
    """Rows of a file that lists MoE layers alone, in order; InputError when it has another number of them."""
    if moe_layers and len(moe_layers) != len(rows):
        raise InputError(f"the file has {len(rows)} MoE layers, {len(moe_layers)} are wanted")
    return rows


def pick_layers(rows: IntArray, moe_layers: tuple[int, ...]) -> IntArray:
    """Rows of the wanted layers of a file that lists every layer of the model."""
    if moe_layers and moe_layers[-1] >= len(rows):
        raise InputError(f"layer {moe_layers[-1]} is missing: the file has {len(rows)} layers, 0 the first")
    return rows[list(moe_layers)] if moe_layers else rows
