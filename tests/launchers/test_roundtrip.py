"""Property: what a launcher's reader makes of the written files is the placement, whatever the hosts are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.launchers.kubernetes.making import SEVERAL
from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import (
    LAUNCHERS,
    Launcher,
    LaunchRequest,
    compare,
    kubernetes,
    parse_observed,
    place_observed,
)
from topoplan.model.capability import Freedom
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement

PART = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,6}[A-Za-z0-9])?", fullmatch=True)
ODD = st.one_of(
    PART,
    st.integers(0, 400).map(str),  # digits alone
    st.integers(0, 400).map("{:04d}".format),
    st.integers(0, 400).map("node-{}".format),  # unpadded
    st.integers(0, 400).map("NODE{}".format),
    st.tuples(PART, st.sampled_from(["example.org", "b.example.org", "Lab"])).map(".".join),
)
FEW = st.lists(ODD, min_size=1, max_size=8, unique=True)
MANY = st.tuples(st.integers(9, 300), st.sampled_from(["n{}", "{}", "n{}.lab", "N{:03d}x"])).map(
    lambda drawn: [drawn[1].format(i) for i in range(drawn[0])]
)


@st.composite
def placements(draw: st.DrawFn, freedom: Freedom, kinds: int = 2) -> RankPlacement:
    names = draw(st.one_of(FEW, MANY))
    types = []
    for i in range(kinds):
        gpus = draw(st.integers(1, 4))
        nics = tuple(
            Nic(n, 5e10, n % gpus, draw(st.sampled_from(["", f"mlx5_{n}"]))) for n in range(draw(st.integers(0, 4)))
        )
        types.append(HostType(f"kind{i}", gpus, nics, gpus, 4.5e11))
    last = kinds - 1
    hosts = [Host(name, draw(st.integers(0, last)) if len(names) < 9 else i % kinds) for i, name in enumerate(names)]
    fabric = Fabric("odd", "ecmp", tuple(types), tuple(hosts))
    ranks = draw(st.integers(1, fabric.gpus))
    return shuffled(fabric, freedom, ranks, draw(st.integers(0, 2**32)))


def shuffled(fabric: Fabric, freedom: Freedom, ranks: int, seed: int) -> RankPlacement:
    """A random placement that a launcher of this freedom can make; the last host may be used in part."""
    generator = np.random.default_rng(seed)
    if freedom == Freedom.RANKS:
        return RankPlacement(fabric, generator.permutation(fabric.gpus)[:ranks])
    order = generator.permutation(len(fabric.hosts))
    gpu = [generator.permutation(np.arange(fabric.gpu_offset[h], fabric.gpu_offset[h + 1])) for h in order]
    if freedom == Freedom.HOSTS:
        gpu = [np.sort(own) for own in gpu]
    return RankPlacement(fabric, np.concatenate(gpu)[:ranks])


# Kinds that make all pods from one template take hosts of one kind alone; tests/launchers/kubernetes says more of each.
ONE_TEMPLATE = {launcher.name for launcher in kubernetes.LAUNCHERS} - set(SEVERAL)


def check(launcher: Launcher, placement: RankPlacement) -> None:
    """The reader gives back every rank's host and GPU."""
    files = {file: made.text for file, made in launcher.write(LaunchRequest(placement)).items()}
    order = launcher.read(files)
    names = placement.fabric.host_names
    assert [seat.host for seat in order] == [names[h] for h in placement.host.tolist()]
    assert [seat.gpu for seat in order] == placement.local.tolist()
    assert compare(placement, order, launcher) == []
    assert place_observed(placement.fabric, order).gpu.tolist() == placement.gpu.tolist()


@pytest.mark.parametrize("name", list(LAUNCHERS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_files_give_back_the_placement(name: str, data: st.DataObject) -> None:
    launcher = LAUNCHERS[name]
    check(launcher, data.draw(placements(launcher.freedom, 1 if name in ONE_TEMPLATE else 2)))


def odd_name(i: int) -> str:
    """Names of all shapes, none that is another's in lower case or without its domain."""
    return ("{}", "node-{}.pod.Example.org", "NODE{}", "n{:06d}", "Rack-{}_b", "gpu{}.lab")[i % 6].format(i)


@pytest.mark.parametrize("name", list(LAUNCHERS))
@pytest.mark.parametrize("hosts", [1, 2, 10_000])
def test_few_and_ten_thousand_hosts_come_back(name: str, hosts: int) -> None:
    """The last host in part, and where the launcher can, every rank anywhere."""
    kind = HostType("box", 2, tuple(Nic(g, 5e10, g, f"mlx5_{g}") for g in range(2)), 2, 4.5e11)
    fabric = Fabric("large", "ecmp", (kind,), tuple(Host(odd_name(i), 0) for i in range(hosts)))
    check(LAUNCHERS[name], shuffled(fabric, LAUNCHERS[name].freedom, fabric.gpus - 1, hosts))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_observed_shapes_give_back_the_placement(data: st.DataObject) -> None:
    placement = data.draw(placements(Freedom.RANKS))
    names = placement.fabric.host_names
    seats = [(r, names[h], g) for r, (h, g) in enumerate(zip(placement.host, placement.local, strict=True))]
    shuffled = data.draw(st.permutations(seats)) if len(seats) < 20 else seats[::-1]
    shapes = [
        "".join(f"{r} {host} {gpu}\n" for r, host, gpu in shuffled),
        "Rank, Host, GPU\n".replace(" ", "") + "".join(f"{r},{host},{gpu}\n" for r, host, gpu in shuffled),
        "noise\n" + "".join(f"[1,0] RANK={r} HOST={host} GPU={gpu} x=\n" for r, host, gpu in shuffled),
        "[" + ",".join(f'{{"rank":{r},"host":"{host}","gpu":{gpu}}}' for r, host, gpu in shuffled) + "]",
    ]
    for text in shapes:
        assert compare(placement, parse_observed(text)) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_swap_is_found(data: st.DataObject) -> None:
    placement = data.draw(placements(Freedom.RANKS).filter(lambda made: made.ranks > 1))
    launcher = LAUNCHERS["openmpi"]
    order = list(launcher.read({file: made.text for file, made in launcher.write(LaunchRequest(placement)).items()}))
    a = data.draw(st.integers(0, placement.ranks - 2))
    b = data.draw(st.integers(a + 1, placement.ranks - 1))
    order[a], order[b] = order[b], order[a]
    differences = compare(placement, order, launcher)
    assert [difference.rank for difference in differences] == [a, b]
    assert differences[0].reason
    assert not differences[1].reason


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_torchrun_refuses_exactly_what_it_cannot_make(data: st.DataObject) -> None:
    placement = data.draw(placements(Freedom.RANKS))
    host = placement.host.tolist()
    torn = len([r for r in range(len(host)) if r == 0 or host[r] != host[r - 1]]) > len(set(host))
    if torn:
        with pytest.raises(InfeasibleError, match="rank"):
            LAUNCHERS["torchrun"].write(LaunchRequest(placement))
    else:
        LAUNCHERS["torchrun"].write(LaunchRequest(placement))
    through = LAUNCHERS["torchrun"].write(LaunchRequest(placement, shim=True))
    assert compare(placement, LAUNCHERS["torchrun"].read({file: made.text for file, made in through.items()})) == []


PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def _is_hostile(text: str) -> bool:
    return not PLAIN.issuperset(text) or text[0] in "-._" or text[-1] in "-._"


HOSTILE: st.SearchStrategy[str] = st.text(min_size=1, max_size=12).filter(_is_hostile)


@settings(max_examples=60, deadline=None)
@given(
    name=st.one_of(
        HOSTILE, st.sampled_from(["a b", "$(id)", "`id`", "a;id", "a\nb", "-x", "a'b", 'a"b', "a|b", "a#b", "é"])
    )
)
def test_hostile_names_are_refused(name: str) -> None:
    kind = HostType("box", 1, (), 1, 1.0)
    with pytest.raises(InputError, match="refused"):
        Fabric("f", "ecmp", (kind,), (Host(name, 0),))
    if name.strip(":") == name and not _is_hostile(name.replace(":", "")):
        return  # a NIC may be named with its port, as in mlx5_0:1
    nic = HostType("box", 1, (Nic(0, 1.0, 0, name),), 1, 1.0)
    placement = RankPlacement(Fabric("f", "ecmp", (nic,), (Host("a", 0),)), np.arange(1))
    with pytest.raises(InputError, match="NIC"):
        LaunchRequest(placement)


@settings(max_examples=60, deadline=None)
@given(name=st.one_of(st.text(max_size=20), st.sampled_from(["$(id)", "a\n#SBATCH --uid=0", "@RANKS@", "x'; id #"])))
def test_a_hostile_plan_name_becomes_harmless(name: str) -> None:
    kind = HostType("box", 1, (), 1, 1.0)
    placement = RankPlacement(Fabric("f", "ecmp", (kind,), (Host("a", 0),)), np.arange(1))
    plain = {"openmpi": LAUNCHERS["openmpi"].write(LaunchRequest(placement, "x"))}
    request = LaunchRequest(placement, name)
    assert PLAIN.issuperset(request.label)
    for file, made in LAUNCHERS["openmpi"].write(request).items():
        assert len(made.text.splitlines()) == len(plain["openmpi"][file].text.splitlines())
