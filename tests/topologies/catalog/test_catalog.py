"""The catalogue: every entry is a sound Fabric at all sizes, with the counts its sources give, and sourced."""

from __future__ import annotations

import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.model.fabric import Fabric
from topoplan.topologies import catalog
from topoplan.topologies.catalog import Value

SMALL: dict[str, dict[str, int]] = {"meta-roce-24k": {"racks": 4, "pods": 2}, "alibaba-hpn7": {"segments": 2}}


def load(name: str, **parameters: Value) -> Fabric:
    return parse_fabric(catalog.text(name, **parameters), name)


def counts(fabric: Fabric) -> tuple[int, int, int, list[float]]:
    """GPUs, leaf groups, rail switches of the first tier, and cables that leave each tier below the top."""
    leaves = [group for group in fabric.groups if group.tier == 0]
    cables = [sum(sum(g.uplinks) for g in fabric.groups if g.tier == t) for t in range(len(fabric.tiers))]
    return fabric.gpus, len(leaves), sum(g.rails for g in leaves), [round(c, 3) for c in cables if c]


# (entry, parameters) -> GPUs, leaf groups, leaf switches, cables above each tier: by hand from the sources
BY_HAND: list[tuple[str, dict[str, Value], tuple[int, int, int, list[float]]]] = [
    # 20 hosts x 8 GPUs a unit, 8 leaves of 20 uplinks
    ("dgx-a100-superpod", {"units": 1}, (160, 1, 8, [160])),
    ("dgx-a100-superpod", {}, (7 * 160, 7, 56, [7 * 160])),
    # 4 units of 32 hosts less one; 32 leaves, 1,024 leaf-spine cables
    ("dgx-h100-superpod", {}, (127 * 8, 4, 32, [1024])),
    ("dgx-h100-superpod", {"ufm": 0, "units": 2}, (512, 2, 16, [512])),
    # the table of the DGX B200 reference architecture: GPUs, leaves, leaf-spine and spine-core cables
    ("dgx-b200-superpod", {"units": 2}, (512, 2, 16, [512])),
    ("dgx-b200-superpod", {"units": 4}, (1024, 4, 32, [1024])),
    ("dgx-b200-superpod", {"units": 8}, (2048, 8, 64, [2048])),
    ("dgx-b200-superpod", {"units": 16}, (4096, 16, 128, [4096, 4096])),
    ("dgx-b200-superpod", {"units": 32}, (8192, 32, 256, [8192, 8192])),
    ("dgx-b200-superpod", {"units": 64}, (16384, 64, 512, [16384, 16384])),
    ("dgx-b200-superpod", {"units": 4, "oversubscription": 2.0}, (1024, 4, 32, [512])),
    # the table of the DGX B300 reference architecture
    ("dgx-b300-superpod", {"units": 1}, (512, 2, 16, [512])),
    ("dgx-b300-superpod", {"units": 16}, (8192, 32, 256, [8192])),
    # the table of its XDR variant
    ("dgx-b300-superpod-xdr", {"units": 1}, (576, 1, 8, [576])),
    ("dgx-b300-superpod-xdr", {"units": 18}, (18 * 576, 18, 144, [10368])),
    # 18 trays x 4 GPUs a rack, 4 rails of 18 uplinks
    ("gb200-nvl72", {"racks": 8}, (576, 8, 32, [576])),
    ("gb200-nvl72", {"racks": 128}, (9216, 128, 512, [9216])),
    ("gb300-nvl72", {}, (4608, 64, 256, [4608])),
    # 192 racks x 16 GPUs a pod; 32 uplinks a rack; 3,072 / 7 links above a pod
    ("meta-roce-24k", {}, (24576, 1536, 1536, [1536 * 32, round(8 * 3072 / 7, 3)])),
    ("meta-roce-24k", {"pods": 2, "racks": 4}, (128, 8, 8, [8 * 32, round(2 * 64 / 7, 3)])),
    # 136 hosts a segment with spares; 16 ToRs of 60 uplinks a segment
    ("alibaba-hpn7", {}, (15 * 136 * 8, 30, 240, [15 * 16 * 60])),
    ("alibaba-hpn7", {"spares": 0}, (15360, 30, 240, [15 * 16 * 60])),
    # of 128 x 8 NICs each plane has 200 Gb/s: 512 links of 400 Gb/s a plane and segment, over 15, in both planes;
    # the tier counts them in links of 200 Gb/s, the speed of the ports below
    ("alibaba-hpn7", {"pods": 2, "segments": 1, "spares": 0}, (2048, 4, 32, [2 * 960, round(4 * 1024 / 15, 3)])),
    # 64 leaves x 32 hosts x 8: 16,384 GPUs and cables
    ("deepseek-mpft", {}, (2048, 8, 64, [2048])),
    ("deepseek-mpft", {"leaves": 64}, (16384, 64, 512, [16384])),
    ("rail-only", {}, (1024, 4, 32, [1024])),
    ("azure-ndv5", {}, (1024, 4, 32, [1024])),
    # 1:1 of 32 x 100 Gb/s an instance, in links of 100 Gb/s
    ("aws-p5", {}, (1024, 8, 8, [128 * 32, 128 * 32])),
    ("two-pods-fragmented", {}, (53 * 8, 8, 64, [8 * 64, 28 * 4 + 25 * 4])),
]


@pytest.mark.parametrize(("name", "parameters", "expected"), BY_HAND, ids=str)
def test_counts_by_hand(name: str, parameters: dict[str, Value], expected: tuple[int, int, int, list[float]]) -> None:
    assert counts(load(name, **parameters)) == expected


def test_every_entry_is_counted_by_hand() -> None:
    assert {name for name, _, _ in BY_HAND} == set(catalog.names())


def test_islands_planes_and_spares() -> None:
    nvl = load("gb200-nvl72", racks=3)
    assert (len(nvl.islands), len(set(nvl.gpu_island.tolist()))) == (3, 3)
    hpn = load("alibaba-hpn7", pods=2, segments=2)
    assert (hpn.planes, hpn.rails) == (2, 8)
    assert int(hpn.free_gpus.sum()) == 2 * 2 * 1024
    assert load("deepseek-mpft").groups[0].rails == 8
    p5 = load("aws-p5")
    assert (p5.rails, set(p5.port_bandwidth.tolist())) == (8, {50e9})  # four adapters of 100 Gb/s a GPU
    assert sorted({int(n) for n in load("two-pods-fragmented").free_gpus}) == [0, 7, 8]


@pytest.mark.parametrize("name", catalog.names())
def test_every_number_is_sourced(name: str) -> None:
    entry = catalog.entry(name)
    text = catalog.text(name, **SMALL.get(name, {}))
    fabric = parse_fabric(text, name)
    assert fabric.name == name
    assert not fabric.warnings
    assert {fact.basis for fact in entry.facts} <= set(catalog.BASES)
    assert all(fact.source and fact.value for fact in entry.facts)
    assert all(f"- {fact.what}: {fact.value} ({fact.basis}; {fact.source})" in text for fact in entry.facts)
    assert list(fabric.assumed) == [f"{fact.what}: {fact.value}" for fact in entry.facts if fact.basis == "assumed"]
    assert {kind.name for kind in fabric.host_types} <= set(catalog.host_type_names())


@pytest.mark.parametrize("name", catalog.host_type_names())
def test_host_types_say_what_their_facts_say(name: str) -> None:
    kind = catalog.host_type(name)
    values = {fact.value for fact in catalog.facts(name)}
    bandwidth = {nic.bandwidth_bytes_per_s * 8 / 1e9 for nic in kind.nics}
    assert f"{kind.scale_up_bandwidth_bytes_per_s / 1e9:g} GB/s" in values
    assert {f"{len(kind.nics)} x {bandwidth.pop():g} Gb/s"} <= values
    assert not bandwidth
    assert kind.gpu_memory_bytes is not None
    assert f"{kind.gpu_memory_bytes / 1e9:g} GB" in values
    assert kind.flops_per_s is not None
    assert f"{kind.flops_per_s / 1e12:g} TFLOPS" in values


# ---- parameters ------------------------------------------------------------------------------------------------


@st.composite
def sized(draw: st.DrawFn) -> tuple[str, dict[str, Value]]:
    """An entry at any small size its limits allow."""
    entry = catalog.entry(draw(st.sampled_from(catalog.names())))
    sizes: dict[str, Value] = {
        key: draw(st.integers(int(p.least), min(int(p.most), 12 if key == "units" else 3)))
        if isinstance(p.value, int)
        else draw(st.sampled_from([1.0, 1.5, 2.0, 7.0]))
        for key, p in entry.parameters.items()
    }
    return entry.name, sizes


@settings(max_examples=60, deadline=None)
@given(sized(), st.integers(0, 5), st.integers(0, 3))
def test_entries_build_at_any_size(spec: tuple[str, dict[str, Value]], broken: int, seed: int) -> None:
    name, sizes = spec
    whole = load(name, **sizes)
    broken = min(broken, int((whole.free_gpus == whole.host_gpus).sum()) - 1)
    fabric = load(name, **sizes, broken=broken, seed=seed)
    assert fabric.gpus == whole.gpus
    assert [group.uplinks for group in fabric.groups] == [group.uplinks for group in whole.groups]
    down = set(np.flatnonzero(fabric.free_gpus == 0).tolist())
    already = set(np.flatnonzero(whole.free_gpus == 0).tolist())
    assert already <= down
    assert len(down - already) == broken
    more = load(name, **sizes, broken=broken + 1, seed=seed)
    assert down <= set(np.flatnonzero(more.free_gpus == 0).tolist())


def distances(fabric: Fabric) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """[groups, groups] tiers to climb from one leaf group to another, by the arrays; -1 where they never meet."""
    up = fabric.group_ancestor[:, :-1]
    steps = np.full((len(fabric.groups),) * 2, -1)
    for tier in range(len(fabric.tiers) - 1, -1, -1):
        same = (up[tier][:, None] == up[tier][None, :]) & (up[tier] >= 0)
        steps[same] = tier
    return steps


@settings(max_examples=25, deadline=None)
@given(sized())
def test_graph_and_arrays_agree_on_every_path_length(spec: tuple[str, dict[str, Value]]) -> None:
    from topoplan.topologies.graph import to_networkx

    fabric = load(spec[0], **spec[1])
    graph = to_networkx(fabric)
    graph.remove_nodes_from([name for name, data in graph.nodes(data=True) if data["kind"] == "host"])
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    leaves = [k for k, group in enumerate(fabric.groups) if group.tier == 0]
    steps = distances(fabric)
    for a in leaves:
        for b in leaves:
            found = lengths[fabric.groups[a].name].get(fabric.groups[b].name)
            assert found == (None if steps[a, b] < 0 else 2 * steps[a, b])


def test_host_paths_agree_with_hop_distances() -> None:
    from topoplan.cost.price import host_distance
    from topoplan.topologies.graph import to_networkx

    fabric = load("meta-roce-24k", pods=2, racks=3)
    lengths = dict(nx.all_pairs_shortest_path_length(to_networkx(fabric)))
    hosts = np.arange(len(fabric.hosts))
    by_tier = host_distance(fabric, *np.meshgrid(hosts, hosts, indexing="ij"))
    links = {10.0: 2, 20.0: 4, 40.0: 6}  # host-leaf-host, over a pod, over the core
    for a in hosts:
        for b in hosts:
            if a != b:
                assert lengths[fabric.host_names[a]][fabric.host_names[b]] == links[by_tier[a, b]]


def test_specs() -> None:
    assert catalog.parse_spec("meta-roce-24k") == ("meta-roce-24k", {})
    name, parameters = catalog.parse_spec("x:pods=2,oversubscription=3.5,broken=a-[1,3]+b-7")
    assert (name, parameters) == ("x", {"pods": 2, "oversubscription": 3.5, "broken": "a-[1,3]+b-7"})
    fabric = load("gb200-nvl72", racks=2, broken="rack1-tray[01,03]+rack2-tray18")
    down = [fabric.host_names[h] for h in np.flatnonzero(fabric.free_gpus == 0)]
    assert down == ["rack1-tray01", "rack1-tray03", "rack2-tray18"]
    with pytest.raises(InputError, match="'pods' is not key=value"):
        catalog.parse_spec("meta-roce-24k:pods")


def test_another_seed_breaks_other_hosts() -> None:
    down = [np.flatnonzero(load("azure-ndv5", broken=5, seed=seed).free_gpus == 0).tolist() for seed in range(3)]
    assert len({tuple(hosts) for hosts in down}) == 3


def test_former_names_still_work() -> None:
    assert load("dgx-h100-superpod-4su").name == "dgx-h100-superpod"
    assert load("gb200-nvl72x8").name == "gb200-nvl72"


def test_refusals() -> None:
    with pytest.raises(InputError, match="did you mean 'meta-roce-24k'"):
        catalog.text("meta-roce-24")
    with pytest.raises(InputError, match="no fabric"):
        catalog.text("../catalog/host_types")
    with pytest.raises(InputError, match="no parameter 'rack'"):
        catalog.text("meta-roce-24k", rack=3)
    with pytest.raises(InputError, match="no parameter"):
        catalog.text("two-pods-fragmented", racks=3)
    with pytest.raises(InputError, match="not a whole number from 1"):
        catalog.text("meta-roce-24k", racks=0)
    with pytest.raises(InputError, match="not a whole number"):
        catalog.text("meta-roce-24k", racks="many")
    with pytest.raises(InputError, match="not a number from 1"):
        catalog.text("meta-roce-24k", oversubscription=float("nan"))
    with pytest.raises(InputError, match="broken is 500"):
        catalog.text("two-pods-fragmented", broken=500)
    with pytest.raises(InputError, match="broken host 'gpu-999' is not in this fabric"):
        catalog.text("two-pods-fragmented", broken="gpu-999")
    with pytest.raises(InputError, match="broken:"):
        catalog.text("two-pods-fragmented", broken="gpu-[9")
    with pytest.raises(InputError, match="no host type 'h100'"):
        catalog.host_type("h100")


def test_text_is_the_same_every_time() -> None:
    assert catalog.text("meta-roce-24k", pods=2, broken=3) == catalog.text("meta-roce-24k", pods=2, broken=3)
    assert re.search(r"^unavailable: ", catalog.text("gb200-nvl72", broken=2), re.MULTILINE)
