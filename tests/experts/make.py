"""Placements and files that the tests of expert maps share."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import strategies as st

from topoplan.experts import get_format
from topoplan.model.experts import ExpertPlacement


@st.composite
def placements(draw: st.DrawFn, *, twins: bool = True) -> ExpertPlacement:
    """Placements with as many slots on each GPU; without `twins`, no expert twice on a GPU."""
    experts, gpus, layers = draw(st.integers(1, 20)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    extra = draw(st.integers(0, 9)) if twins else draw(st.integers(0, experts * gpus - experts))
    each = -(-(experts + extra) // gpus)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = []
    for _ in range(layers):
        name = generator.permutation(experts)
        row = name[np.arange(each * gpus) % experts]  # runs of at most `experts`: none twice on a GPU
        by_gpu = generator.permuted(row.reshape(gpus, each), axis=1)
        rows.append(generator.permutation(row if twins else by_gpu).ravel())
    return ExpertPlacement(gpus, np.array(rows), experts)


def content(name: str, placement: ExpertPlacement, moe_layers: tuple[int, ...] = (), model_layers: int = 0) -> bytes:
    """The one file of a format."""
    form = get_format(name)
    files = form.write(placement, moe_layers=moe_layers, model_layers=model_layers)
    assert list(files) == [form.file_name]
    return files[form.file_name]


def npz(**arrays: object) -> bytes:
    """An .npz file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.asarray(values) for name, values in arrays.items()})
    return file.getvalue()


def npy(array: object) -> bytes:
    """An .npy file, pickled where the array holds objects."""
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()
