"""The catalogue: every file is a sound Fabric with the sizes its sources give."""

from __future__ import annotations

import re

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric
from topoplan.topologies import catalog


def load(name: str, **parameters: int) -> Fabric:
    return parse_fabric(catalog.text(name, **parameters), name)


def oversubscription(fabric: Fabric, tier: int) -> set[float]:
    """NIC bandwidth below / uplink bandwidth, of the groups of a tier; rounded to thousandths."""
    below = dict.fromkeys(range(len(fabric.groups)), 0.0)
    for h, host in enumerate(fabric.hosts):
        for k in fabric.host_ancestor[:, h]:
            below[int(k)] += sum(nic.bandwidth_bytes_per_s for nic in fabric.host_types[host.type].nics)
    return {
        round(below[k] / group.uplink_bandwidth_bytes_per_s, 3)
        for k, group in enumerate(fabric.groups)
        if group.tier == tier
    }


@pytest.mark.parametrize("name", catalog.names())
def test_every_fabric_is_sound_and_sourced(name: str) -> None:
    small = {key: min(value, 3) for key, value in catalog.entry(name).parameters.items()}
    fabric = load(name, **small)
    assert fabric.name == name
    assert not fabric.warnings
    assert fabric.assumed
    assert re.search("Sources:|assumed", catalog.text(name, **small))
    assert catalog.entry(name).description
    for kind in fabric.host_types:
        assert kind == catalog.host_type(kind.name)


def test_names() -> None:
    assert catalog.names() == ("dgx-h100-superpod-4su", "gb200-nvl72x8", "meta-roce-24k", "two-pods-fragmented")
    assert catalog.host_type_names() == ("dgx-a100", "gb200-tray", "hgx-b200", "hgx-h100", "hgx-h200")


def test_superpod() -> None:
    fabric = load("dgx-h100-superpod-4su")
    assert (len(fabric.hosts), fabric.gpus, fabric.rails, fabric.routing) == (127, 1016, 8, "adaptive")
    assert sum(sum(group.uplinks) for group in fabric.groups) == 1024
    assert oversubscription(fabric, 0) == {1.0, round(31 / 32, 3)}


def test_gb200() -> None:
    fabric = load("gb200-nvl72x8")
    assert (len(fabric.hosts), fabric.gpus, len(fabric.islands)) == (144, 576, 8)
    assert len(set(fabric.gpu_island.tolist())) == 8
    assert oversubscription(fabric, 0) == {1.0}


def test_meta() -> None:
    entry = catalog.entry("meta-roce-24k")
    assert entry.parameters == {"pods": 8, "racks": 192}
    text = catalog.text("meta-roce-24k")
    assert len(re.findall(r"names: \"?host-", text)) * 2 * 8 == 24_576
    fabric = load("meta-roce-24k", pods=2, racks=4)
    assert fabric.gpus == 2 * 4 * 16
    assert oversubscription(fabric, 0) == {0.5}
    assert oversubscription(fabric, 1) == {7.0}


def test_two_pods_fragmented() -> None:
    fabric = load("two-pods-fragmented")
    assert oversubscription(fabric, 1) == {2.0}
    assert sorted({int(n) for n in fabric.free_gpus}) == [0, 7, 8]
    assert len(fabric.hosts) == 53
    assert int(fabric.free_gpus.sum()) == 53 * 8 - 5 * 8 - 1


def test_refusals() -> None:
    with pytest.raises(InputError, match="did you mean 'meta-roce-24k'"):
        catalog.text("meta-roce-24")
    with pytest.raises(InputError, match="no fabric"):
        catalog.text("../catalog/host_types")
    with pytest.raises(InputError, match="no parameter 'rack'"):
        catalog.text("meta-roce-24k", rack=3)
    with pytest.raises(InputError, match="no parameter"):
        catalog.text("two-pods-fragmented", racks=3)
    with pytest.raises(InputError, match="not 1 to"):
        catalog.text("meta-roce-24k", racks=0)
    with pytest.raises(InputError, match="no host type 'h100'"):
        catalog.host_type("h100")
