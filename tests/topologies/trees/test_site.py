"""Sites and the Fabric that the builder makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.model.host_type import HostType, Nic
from topoplan.topologies.formats import ReadOptions  # first: its modules and those beside it need each other

# isort: split
from topoplan.topologies.hosts import guess
from topoplan.topologies.reading import MAX_TIERS
from topoplan.topologies.trees.rows import Row, site_of_rows
from topoplan.topologies.trees.site import Machine, Paths, Site, Switch, host_name, unique_names
from topoplan.topologies.trees.tree import build


def tree(site: Site, **options: object) -> Fabric:
    return build(site, "f.conf", ReadOptions(**options))  # type: ignore[arg-type]


def from_paths(**hosts: str) -> Fabric:
    paths, site = Paths(), Site(joined=True)
    for host, ids in hosts.items():
        paths.add(host, ids.split())
    paths.into(site)
    return tree(site)


def groups(fabric: Fabric) -> dict[str, str]:
    return {g.name: fabric.groups[g.parent].name if g.parent >= 0 else "" for g in fabric.groups}


def test_equal_ids_in_different_places_are_different_groups() -> None:
    assert groups(from_paths(a="b1 r1", b="b2 r1", c="b2 r2")) == {
        "above": "", "b1": "above", "b1-r1": "b1", "b2": "above", "b2-r1": "b2", "r2": "b2"
    }  # fmt: skip


def test_an_id_that_follows_itself_is_no_level() -> None:
    assert groups(from_paths(a="x x y", b="x z z")) == {"x": "", "y": "x", "z": "x"}


def test_hosts_beside_groups_get_a_leaf() -> None:
    fabric = from_paths(a="t", b="t l")
    assert groups(fabric) == {"t": "", "l": "t", "t-direct": "t"}
    assert {h.name: fabric.groups[h.group].name for h in fabric.hosts} == {"a": "t-direct", "b": "l"}


def test_a_single_top_needs_none_above() -> None:
    assert groups(from_paths(a="t l1", b="t l2")) == {"t": "", "l1": "t", "l2": "t"}


def test_hosts_without_any_place() -> None:
    fabric = from_paths(a="", b="")
    assert (fabric.groups, fabric.tiers) == ((), ())
    assert any("none is told" in line for line in fabric.assumed)


def test_ids_that_names_cannot_be() -> None:
    assert list(groups(from_paths(a="ocid1:x/y", b="ocid1-x-y", c="\u4e2d"))) == [
        "above", "group", "ocid1-x-y", "ocid1-x-y-2"
    ]  # fmt: skip


@given(st.lists(st.text(max_size=90), max_size=12), st.sets(st.sampled_from(["a", "group", "b-2"])))
def test_unique_names(wanted: list[str], taken: set[str]) -> None:
    found = unique_names(wanted, "group", taken)
    assert len(set(found)) == len(found) == len(wanted)
    assert not set(found) & taken
    assert [host_name(name) for name in found] == found
    assert all(len(name) <= 64 for name in found)


def test_heights_uplinks_and_order() -> None:
    site = Site()
    for switch in (Switch("top", children=["s10", "mid"]), Switch("mid", children=["s2"])):
        site.add(switch)
    site.add(Switch("s10", hosts=["h3", "h2"]))
    site.add(Switch("s2", hosts=["h10", "h9"]))
    kind = HostType("k", 2, (Nic(0, 25e9, 0), Nic(1, 25e9, 1), Nic(0, 25e9, 1)), 2, 1e11)
    fabric = tree(site, host_type=kind)
    assert [(g.name, g.tier, g.uplinks) for g in fabric.groups] == [
        ("top", 2, ()), ("mid", 1, (6.0,)), ("s2", 0, (6.0,)), ("s10", 0, (6.0,))
    ]  # fmt: skip
    assert fabric.host_names == ("h9", "h10", "h2", "h3")
    assert fabric.groups[1].link_bandwidth_bytes_per_s == 25e9


def test_machines() -> None:
    big = guess.of_product("NVIDIA-H200", 8)
    site = Site(unplaced=["a", "b", "c"], machines={"a": Machine(big, (("ip", "10.0.0.1"),), 6), "b": Machine(free=0)})
    fabric = tree(site)
    assert [fabric.host_types[h.type].name for h in fabric.hosts] == [
        "nvidia-h200-x8",
        "assumed-8-gpu",
        "assumed-8-gpu",
    ]
    assert fabric.unusable_gpus == {(0, 6), (0, 7), *((1, g) for g in range(8))}
    assert fabric.alias_index["10.0.0.1"] == 0


def test_a_user_who_knows_better_fills_what_is_not_told() -> None:
    kind = HostType("mine", 8, (), 8, 1e9)
    site = Site(unplaced=["a", "b"], machines={"a": Machine(guess.of_product("H100", 8))})
    assert tree(site, host_type=kind).host_types == (kind,)


def test_islands_of_one_host_are_none() -> None:
    fabric = tree(Site(unplaced=["a", "b", "c"], islands={"x": ["a"], "y": ["c", "b"]}))
    assert [(i.name, i.hosts) for i in fabric.islands] == [("y", (1, 2))]
    assert fabric.host_types[0].gpus == 4


@pytest.mark.parametrize(("product", "gpus", "speed"), [
    ("NVIDIA-GB200", 4, 900e9),
    ("NVIDIA-GB200-NVL", 4, 900e9), ("NVIDIA-H100-NVL", 1, 0.0),
    ("NVIDIA-B300-SXM6", 8, 900e9), ("NVIDIA-H100-80GB-HBM3", 8, 450e9),
    ("NVIDIA-H100-PCIe", 1, 0.0), ("NVIDIA-A100-SXM4-80GB", 8, 300e9), ("NVIDIA-L40S", 1, 0.0),
    ("Tesla-V100-SXM2-32GB", 8, 150e9), ("NVIDIA-H800", 8, 200e9), ("NVIDIA-A10G", 1, 0.0), ("", 8, 450e9),
])  # fmt: skip
def test_products(product: str, gpus: int, speed: float) -> None:
    kind = guess.of_product(product, max(gpus, 4) if gpus > 1 else 8)
    assert (kind.scale_up_gpus, kind.scale_up_bandwidth_bytes_per_s) == (gpus, speed)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site(), "no hosts are named"),
        (Site(unplaced=["a", "a"]), "host a is listed twice"),
        (Site({"s": Switch("s", hosts=["a"])}, unplaced=["a"]), "host a is listed twice"),
        (
            Site(
                {f"s{n}": Switch(f"s{n}", children=[f"s{n + 1}"]) for n in range(MAX_TIERS)}
                | {f"s{MAX_TIERS}": Switch(f"s{MAX_TIERS}", hosts=["a"])}
            ),
            "more than 16 levels deep",
        ),
    ],
)  # fmt: skip
def test_refusals(site: Site, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tree(site)


def test_rows() -> None:
    rows = [Row("a", ("t", "l"), "x", "p5.48xlarge"), Row("b", ("t", "l"), "x", "odd.type"), Row("c", ("t",))]
    site = site_of_rows(rows)
    assert site.islands == {"x": ["a", "b"]}
    assert site.machines["a"].kind == guess.of_instance("p5.48xlarge")
    assert site.assumed == [guess.told_of("p5.48xlarge")]
    assert "from memory" in site.assumed[0]
    assert site.warnings == ["instance types not known here, such as odd.type: give --host-type"]
    with pytest.raises(InputError, match="listed twice"):
        site_of_rows([Row("a"), Row("a")])


def test_many_equal_names_are_quick() -> None:
    found = unique_names(["\u4e2d"] * 50_000, "group")
    assert found[:3] == ["group", "group-2", "group-3"]
    assert len(set(found)) == 50_000
