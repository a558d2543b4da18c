from dataclasses import replace
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric, Host, HostType, Nic


def test_a_gpu_without_a_nic_of_its_own_uses_the_one_it_shares_not_the_next_index() -> None:
    kind = HostType("box", 4, (Nic(0, 1e9, 0, also=(3,)), Nic(1, 1e9, 2, also=(1,))), 1, 0.0)
    assert kind.nic_of_gpu == (0, 1, 1, 0)


def test_all_nics_of_a_gpu_are_its_own() -> None:
    kind = HostType("p5", 2, tuple(Nic(i // 4, 12.5e9, i // 4) for i in range(8)), 2, 450e9)
    assert kind.nics_of_gpu == ((0, 1, 2, 3), (4, 5, 6, 7))
    fabric = Fabric("f", "ecmp", (kind,), (Host("a", 0),))
    assert fabric.port_bandwidth.tolist() == [50e9, 50e9]
    assert fabric.gpu_rail.tolist() == [0, 1]


def test_without_any_hint_the_nearest_index_serves() -> None:
    kind = HostType("box", 4, (Nic(0, 1e9, 0), Nic(1, 1e9, 2)), 1, 0.0)
    assert kind.nics_of_gpu == ((0,), (0,), (1,), (1,))
    assert HostType("bare", 2, (), 1, 0.0).nic_of_gpu == (-1, -1)


def test_domains_may_have_any_shape() -> None:
    kind = HostType("box", 4, (), 2, 50e9, domains=(7, 3, 3, 7))
    assert kind.domain_of_gpu == (0, 1, 1, 0)
    fabric = Fabric("f", "ecmp", (kind,), (Host("a", 0), Host("b", 0)))
    assert fabric.gpu_island.tolist() == [0, 1, 1, 0, 2, 3, 3, 2]


def test_domains_that_the_size_says_as_well_are_dropped() -> None:
    assert HostType("box", 4, (), 2, 50e9, domains=(5, 5, 9, 9)) == HostType("box", 4, (), 2, 50e9)


@pytest.mark.parametrize(
    "bad",
    [
        {"domains": (0, 0, 1)},
        {"domains": (0, 0, 0, 1)},
        {"switches": (0,)},
        {"slices": (2, 1)},
        {"slices": (4, 0)},
        {"nics": (Nic(0, 1e9, 0, also=(4,)),)},
        {"other_nics": (Nic(0, 1e9, 4),)},
    ],
)
def test_what_does_not_fit_the_gpus_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(HostType("box", 4, (), 2, 1.0), **bad)
