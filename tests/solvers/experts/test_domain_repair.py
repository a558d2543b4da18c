"""Copies brought into enough failure domains by chains of places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InfeasibleError
from topoplan.model.fabric import IntArray
from topoplan.solvers.experts.domain_repair import repair
from topoplan.solvers.experts.domains import check_room


def spread(expert: IntArray, domain: IntArray, experts: int) -> IntArray:
    """[experts] domains that hold each."""
    return np.array([len({int(domain[g]) for g in np.nonzero(expert == e)[0]}) for e in range(experts)])


def test_nothing_is_touched_where_nothing_lacks() -> None:
    expert = np.array([[0, 1], [1, 0]])
    assert repair(expert, np.ones(2), np.array([2, 2]), np.array([0, 1]), 2) is expert


def test_a_spare_copy_gives_way() -> None:
    expert = np.array([[0, 1, 2], [0, 1, 1]])  # a domain each; 2 lacks the second, where 1 is there twice
    fixed = repair(expert, np.array([1.0, 5.0, 1.0]), np.array([3, 3]), np.array([0, 1]), 2)
    assert sorted(fixed[1].tolist()) == [0, 1, 2]
    assert (fixed[0] == expert[0]).all()


def test_a_chain_goes_through_a_domain_without_spare_copies() -> None:
    # 0 needs a second domain and is only missing where nothing can be spared: 2 has to go on to where 3 is spare
    expert = np.array([[0, 1, 3], [1, 2, 3], [3, 2, 0]])
    expert[2] = [3, 3, 0]
    fixed = repair(expert, np.array([1.0, 1, 1, 1]), np.array([3, 3, 3]), np.array([0, 1, 2]), 2)
    assert (spread(fixed, np.array([0, 1, 2]), 4) >= 2).all()


def test_open_places_are_used_first() -> None:
    expert = np.array([[0, 1], [0, -1]])
    fixed = repair(expert, np.ones(2), np.array([2, 2]), np.array([0, 1]), 2)
    assert fixed.tolist() == [[0, 1], [0, 1]]


def test_too_little_room_is_said() -> None:
    with pytest.raises(InfeasibleError, match="2 copies of expert"):
        repair(np.array([[0], [1]]), np.ones(2), np.array([1, 1]), np.array([0, 1]), 2)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_has_room_is_repaired(data: st.DataObject) -> None:
    domains, experts = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 8))
    gpus = domains * data.draw(st.integers(1, 3))
    least = data.draw(st.integers(1, domains))
    slots = np.array(data.draw(st.lists(st.integers(0, 6), min_size=gpus, max_size=gpus)))
    domain = np.arange(gpus) % domains
    if slots.sum() < experts:
        return
    try:
        check_room(slots, domain, experts, least, "host")
    except InfeasibleError:
        return
    expert = np.full((gpus, max(1, int(slots.max()))), -1)
    gpu, place = np.nonzero(np.arange(expert.shape[1]) < slots[:, None])
    names = [*range(experts), *data.draw(st.lists(st.integers(0, experts - 1), min_size=99, max_size=99))]
    order = data.draw(st.permutations(range(len(gpu))))
    expert[gpu[order], place[order]] = names[: len(gpu)]
    fixed = repair(expert, np.arange(1.0, experts + 1), slots, domain, least)
    assert ((fixed >= 0) == (expert >= 0)).all()
    assert (spread(fixed, domain, experts) >= np.minimum(least, domains)).all()
    assert len(set(fixed[fixed >= 0].tolist())) == experts
