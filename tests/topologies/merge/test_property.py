"""A fabric cut into files and merged is the fabric again; order and repetition do not matter."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.files.fabric_text import format_fabric
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Nic, Tier
from topoplan.topologies.merge import Part, merge
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK

SPEEDS = (25e9, 50e9, 100e9)
GUESS = HostType("guess", 8, tuple(Nic(i, 12.5e9, i) for i in range(8)), 8, 1e9)
GUESSED = ("all hosts: 8 GPUs, each with a NIC of 100 Gb/s", "scale-up bandwidth of a GPU: assumed")


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Two tiers; hosts in natural order of groups and names; some with attachments; islands of whole leaves' hosts."""
    rails = draw(st.integers(1, 4))
    kinds = []
    for t in range(draw(st.integers(1, 2))):
        gpus = draw(st.integers(rails, 8))
        order = draw(st.permutations(range(rails)))
        nics = tuple(Nic(rail, draw(st.sampled_from(SPEEDS)), gpu, f"mlx5_{rail}") for gpu, rail in enumerate(order))
        kinds.append(HostType(f"kind-{t}", gpus, nics, gpus, draw(st.sampled_from((450e9, 900e9)))))
    leaves = draw(st.integers(2, 4))
    wide = draw(st.booleans())
    groups = [Group("core", 1)]
    hosts: list[Host] = []
    islands = []
    for leaf in range(1, leaves + 1):
        width = rails if wide else 1
        uplinks = tuple(float(draw(st.integers(0, 9))) for _ in range(width))
        groups.append(Group(f"leaf-{leaf}", 0, 0, width, uplinks, 50e9))
        first = len(hosts)
        for n in range(draw(st.integers(1, 4))):
            kind = draw(st.integers(0, len(kinds) - 1))
            name = f"n{leaf}-{n}"
            aliases = draw(st.sampled_from([(), (("fqdn", f"{name}.site"),)]))
            attach = (Attachment(0, leaf), *(Attachment(i, leaf, 1) for i in range(1, rails)))
            irregular = draw(st.booleans()) and rails > 1
            hosts.append(Host(name, kind, -1 if irregular else leaf, attach if irregular else (), aliases))
        if draw(st.booleans()):
            islands.append(Island(f"rack-{leaf}", tuple(range(first, len(hosts))), 800e9))
    used = sorted({host.type for host in hosts})
    hosts = [dataclasses.replace(host, type=used.index(host.type)) for host in hosts]
    broken = draw(st.sets(st.tuples(st.integers(0, len(hosts) - 1), st.integers(0, rails - 1)), max_size=3))
    return Fabric(
        "net", "adaptive", tuple(kinds[t] for t in used), tuple(hosts), (Tier("leaf", 10), Tier("spine", 20)),
        tuple(groups), tuple(islands), unusable_gpus=frozenset(broken),
    )  # fmt: skip


def cut(fabric: Fabric, rng: random.Random) -> list[Part]:
    """The network without the hosts' insides in one or several files, hosts in some others, islands in the last."""
    plain = tuple(
        dataclasses.replace(kind, name=f"cabled-{t}", gpus=len(kind.nics), scale_up_gpus=1,
                            nics=tuple(dataclasses.replace(nic, gpu=i) for i, nic in enumerate(kind.nics)))
        for t, kind in enumerate(fabric.host_types)
    )  # fmt: skip
    said = ("GPUs of a host: one for each of its adapters", "scale-up bandwidth of a GPU: assumed")
    bare = dataclasses.replace(
        fabric, host_types=plain, assumed=said, islands=(), unusable_gpus=frozenset(),
        hosts=tuple(dataclasses.replace(host, aliases=()) for host in fabric.hosts),
    )  # fmt: skip
    parts = [
        Part(f"network-{i}", "ib", _only(bare, members), frozenset({HOST, NETWORK}))
        for i, members in enumerate(_deal(len(fabric.hosts), rng))
    ]
    inside = dataclasses.replace(
        fabric,
        tiers=(),
        groups=(),
        islands=(),
        hosts=tuple(Host(h.name, h.type, -1, (), h.aliases) for h in fabric.hosts),
    )
    parts.append(Part("hosts", "smi", inside, frozenset({HOST})))
    parts += [
        Part(f"hosts-{i}", "smi", _only(inside, members), frozenset({HOST}))
        for i, members in enumerate(_deal(len(fabric.hosts), rng))
    ]
    for n, island in enumerate(fabric.islands):
        for i, members in enumerate(_deal(len(island.hosts), rng)):
            names = [fabric.hosts[island.hosts[m]].name for m in members]
            made = Fabric(
                "racks", "ecmp", (GUESS,), tuple(Host(name, 0) for name in names),
                islands=(dataclasses.replace(island, hosts=tuple(range(len(names)))),), assumed=GUESSED[:1],
            )  # fmt: skip
            parts.append(Part(f"racks-{n}-{i}", "clique", made, frozenset({ISLANDS})))
    rng.shuffle(parts)
    return parts


def _deal(count: int, rng: random.Random) -> list[list[int]]:
    """0 ... count - 1 dealt to one to three hands, none of them empty."""
    hands: list[list[int]] = [[] for _ in range(rng.randint(1, 3))]
    for item in range(count):
        rng.choice(hands).append(item)
    return [hand for hand in hands if hand]


def _only(fabric: Fabric, members: list[int]) -> Fabric:
    """`fabric` with some of its hosts."""
    index = {h: i for i, h in enumerate(members)}
    broken = frozenset((index[h], gpu) for h, gpu in fabric.unusable_gpus if h in index)
    return dataclasses.replace(fabric, hosts=tuple(fabric.hosts[h] for h in members), unusable_gpus=broken)


def known(fabric: Fabric) -> tuple[object, ...]:
    """What must come back: all but what is said, and the order and names of host types."""
    kinds = [dataclasses.replace(fabric.host_types[host.type], name="") for host in fabric.hosts]
    nics = [sorted(kind.nics, key=lambda nic: nic.name) for kind in kinds]
    rest = [dataclasses.replace(kind, nics=()) for kind in kinds]
    where = [
        (host.name, host.group, sorted((kinds[h].nics[a.nic].name, a.group, a.plane) for a in host.attach))
        for h, host in enumerate(fabric.hosts)
    ]
    names = [{host.name, *(alias for _, alias in host.aliases)} for host in fabric.hosts]
    return (
        rest, nics, where, names, fabric.tiers, fabric.groups, fabric.routing, fabric.unusable_gpus,
        sorted((island.name, island.hosts, island.bandwidth_bytes_per_s) for island in fabric.islands),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(fabrics(), st.randoms(use_true_random=False))
def test_the_parts_make_the_whole(fabric: Fabric, rng: random.Random) -> None:
    parts = cut(fabric, rng)
    merged = merge(parts)
    assert known(merged) == known(fabric)
    assert not [line for line in merged.warnings if "not in" not in line]


@settings(max_examples=50, deadline=None)
@given(fabrics(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(fabric: Fabric, rng: random.Random) -> None:
    parts = cut(fabric, rng)
    first = format_fabric(merge(parts))
    again = [*parts, *rng.sample(parts, k=min(3, len(parts)))]
    rng.shuffle(again)
    assert format_fabric(merge(again)) == first


@settings(max_examples=50, deadline=None)
@given(fabrics(), st.randoms(use_true_random=False))
def test_the_whole_beside_its_parts_stays_the_whole(fabric: Fabric, rng: random.Random) -> None:
    whole = Part("whole.yaml", "topoplan", fabric, frozenset({HOST, NETWORK, ISLANDS}))
    assert known(merge([whole, *cut(fabric, rng)])) == known(fabric)


@settings(max_examples=60, deadline=None)
@given(fabrics())
def test_a_fabric_beside_itself_is_itself(fabric: Fabric) -> None:
    tells = frozenset({HOST, NETWORK, ISLANDS})
    a, b = (Part(name, "topoplan", fabric, tells) for name in ("a.yaml", "b.yaml"))
    merged = merge([a, b])
    assert (merged.hosts, merged.host_types, merged.groups) == (fabric.hosts, fabric.host_types, fabric.groups)
    assert (merged.islands, merged.unusable_gpus) == (fabric.islands, fabric.unusable_gpus)
