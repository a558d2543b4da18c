"""What a Fabric refuses to be."""

from __future__ import annotations

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, Group, Host, HostType, Tier

KIND = HostType("box", 1, (), 1, 0.0)


def fabric(*groups: Group, kinds: tuple[HostType, ...] = (KIND,)) -> Fabric:
    return Fabric("f", "ecmp", kinds, (Host("a", 0),), (Tier("leaf", 10.0),), groups)


def test_names_are_not_shared() -> None:
    assert len(fabric(Group("x", 0), Group("y", 0)).groups) == 2
    with pytest.raises(InputError, match="group x is listed twice"):
        fabric(Group("x", 0), Group("x", 0))
    with pytest.raises(InputError, match="host type box is listed twice"):
        fabric(kinds=(KIND, KIND))


def test_switches_fill_the_rails() -> None:
    assert fabric(Group("x", 0, rails=2, switches=("a", ""))).groups[0].switches == ("a", "")
    with pytest.raises(InputError, match="group x: 3 switches do not make 2 rails"):
        fabric(Group("x", 0, rails=2, switches=("a", "b", "c")))
