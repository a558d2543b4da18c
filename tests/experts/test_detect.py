"""Every format's files are told apart by content, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experts.make import content, npz
from topoplan.errors import InputError
from topoplan.experts import FORMATS, detect_format, is_npz
from topoplan.model.experts import ExpertPlacement

PLACEMENT = ExpertPlacement(2, np.array([[0, 1, 1, 2], [2, 0, 1, 0]]))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_each_format_is_told_by_its_content(name: str) -> None:
    data = content(name, PLACEMENT)
    assert detect_format(data).name == name
    held = [np.sort(row.reshape(2, -1), axis=1).tolist() for row in PLACEMENT.physical_to_logical_map]
    again = detect_format(data).read_placement(data, gpus=2)
    assert [np.sort(row.reshape(2, -1), axis=1).tolist() for row in again.physical_to_logical_map] == held


@given(st.binary(max_size=60))
def test_any_bytes_are_a_format_or_an_input_error(data: bytes) -> None:
    try:
        found = detect_format(data)
    except InputError:
        return
    assert found.name in FORMATS


def test_archives_of_arrays_are_told_from_those_of_torch() -> None:
    assert is_npz(npz(load=np.ones(3)))
    assert not is_npz(b"PK\x03\x04")
    assert not is_npz(b"{}")
