"""Differences between a plan and an observed order, and the reason given for the first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import Seat, compare, get_launcher, parse_observed, place_observed
from topoplan.launchers.match import HostNames
from topoplan.model.fabric import Fabric
from topoplan.model.placement import RankPlacement

NAMES = ["h0", "h1", "h2", "h4", "h6", "h10"]
PLAN = ["h6", "h6", "h1", "h1", "h4", "h4", "h0", "h0"]


@pytest.fixture
def plan(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    return placement_of(NAMES, [(host, i % 2) for i, host in enumerate(PLAN)])


def seats(text: str) -> list[Seat]:
    return [Seat(host) for host in text.split()]


@pytest.mark.parametrize(
    ("launcher", "observed", "reason"),
    [
        ("openmpi", "h0 h0 h6 h6 h1 h1 h4 h4", "Open MPI 4 moved h0 to the front because mpirun ran there"),
        ("openmpi", "h6 h1 h4 h0 h6 h1 h4 h0", "as --map-by node does"),
        ("openmpi", "h0 h0 h1 h1 h4 h4 h6 h6", "came sorted by name"),
        ("torchrun", "h0 h0 h1 h1 h4 h4 h6 h6", "torchrun's c10d rendezvous sorts them"),
        ("slurm", "h0 h0 h0 h0 h1 h1 h4 h6", "filled|sorts every node list"),
        ("slurm", "h0 h1 h4 h6 h0 h1 h4 h6", "--distribution=cyclic"),
        ("slurm", "h6 h6 h1 h1 h4 h4 h10 h10", "h10 is not in the plan: Slurm allocated other nodes"),
        ("slurm", "h0 h0 h0 h0 h1 h1 h1 h1", "the first nodes took more tasks"),
        ("rankmap", "h1 h1 h6 h6 h4 h4 h0 h0", "moved to the front"),
        ("rankmap", "h4 h4 h0 h0 h1 h1 h6 h6", "nor one that a known launcher makes"),
        ("torchrun", "h4 h4 h0 h0 h6 h6 h1 h1", "each host must run run.sh"),
        ("rankmap", "h6 h6 h6 h1 h4 h4 h0 h0", "each was filled before the next"),
        ("rankmap", "h6 h6 h1 h1 h4 h4 h0", "fewer processes"),
        ("rankmap", "h6 h6 h1 h1 h4 h4 h0 h0 h0", "more processes"),
        ("rankmap", "h6 h6 h1 h1 stranger h4 h0 h0", "stranger is not in the plan"),
    ],
)
def test_the_first_difference_is_explained(plan: RankPlacement, launcher: str, observed: str, reason: str) -> None:
    differences = compare(plan, seats(observed), get_launcher(launcher))
    first = differences[0]
    assert any(part in first.reason for part in reason.split("|")), first.reason
    assert not any(difference.reason for difference in differences[1:])
    assert f"rank {first.rank}: planned " in str(first)
    wrong = [r for r, (a, b) in enumerate(zip(PLAN, observed.split(), strict=False)) if a != b]
    assert [d.rank for d in differences if d.rank < min(len(PLAN), len(observed.split()))] == wrong


def test_equal_orders_have_no_difference(plan: RankPlacement) -> None:
    assert compare(plan, seats(" ".join(PLAN))) == []
    assert compare(plan, [Seat(f"{host.upper()}.cluster.example", i % 2) for i, host in enumerate(PLAN)]) == []


def test_gpu_order_is_compared_where_it_is_known(plan: RankPlacement) -> None:
    swapped = [Seat(host, 1 - i % 2) for i, host in enumerate(PLAN)]
    differences = compare(plan, swapped, get_launcher("openmpi"))
    assert len(differences) == len(PLAN)
    assert "without topoplan-env" in differences[0].reason
    assert str(differences[1]) == "rank 1: planned h6 GPU 1, observed h6 GPU 0"


def test_numbered_hosts_sorted_either_way_count_as_sorted(placement_of: Callable[..., RankPlacement]) -> None:
    names = ["n10", "n2", "n3", "n1"]
    placement = placement_of(names, [("n3", 0), ("n1", 0), ("n10", 0), ("n2", 0)])
    for order in ("n1 n10 n2 n3", "n1 n2 n3 n10"):
        assert "sorted" in compare(placement, seats(order), get_launcher("torchrun"))[0].reason


# ---- host names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("n1.a.example", "n1.a"), ("n1.b", "n1.b"), ("n2", "n2.a"), ("N2.A", "n2.a"), ("n2.c", None), ("n3.x.y", "n3"),
        ("10", "10"), ("10.0.0.3", None), ("010", None), ("10.0.0.9", "n3"), ("n4", None), ("", None),
    ],
)  # fmt: skip
def test_names_resolve(fabric_of: Callable[..., Fabric], name: str, host: str | None) -> None:
    fabric = fabric_of(["n1.a", "n1.b", "n2.a", "n3", "10"], aliases={"n3": {"ip": "10.0.0.9"}})
    found = HostNames(fabric).find(name)
    assert (None if found is None else fabric.host_names[found]) == host


def test_an_exact_name_wins_over_one_in_another_case(fabric_of: Callable[..., Fabric]) -> None:
    names = HostNames(fabric_of(["Node", "node"]))
    assert [names.find("Node"), names.find("node")] == [0, 1]


def test_ambiguous_names_are_refused(fabric_of: Callable[..., Fabric]) -> None:
    names = HostNames(fabric_of(["n1.a", "n1.b", "Node", "node"]))
    for name in ("n1", "N1", "NODE"):
        with pytest.raises(InputError, match="fits several hosts"):
            names.find(name)
    assert "n1" not in {name for found in names.all_names() for name in found}


# ---- observed files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 h6\n1 h1\n", [("h6", None), ("h1", None)]),
        ("# who runs where\n1, h1, 0\n\n0, h6, 3  # twice\n0 h6 3\n", [("h6", 3), ("h1", 0)]),
        ("rank,host\n0,h6\n", [("h6", None)]),
        ("# a comment\nhost,rank,gpu,stage\nh6,0,1,5\n", [("h6", 1)]),
        ("\ufeffrank,host,gpu\n0,h6,\n", [("h6", None)]),
        ('["x"]', None),
        ('[{"host": "h6"}, {"host": "h1", "gpu": 1}]', [("h6", None), ("h1", 1)]),
        ('{"host": ["h6"], "gpu": [2]}', [("h6", 2)]),
        ("INFO start\nRANK=0 HOST=h6 LOCAL_RANK=1 CUDA_VISIBLE_DEVICES=3,1 x=y\n", [("h6", 1)]),
        ("RANK=0 HOST=h6 LOCAL_RANK=1 CUDA_VISIBLE_DEVICES=3\n", [("h6", 3)]),
        ("RANK=0 HOST=h6 CUDA_VISIBLE_DEVICES=GPU-12ab\n", [("h6", None)]),
        ("RANK=0 HOST=h6 GPU=4 LOCAL_RANK=0 CUDA_VISIBLE_DEVICES=1,2\n", [("h6", 4)]),
        ("RANK=0 HOST=h6 LOCAL_RANK=5 CUDA_VISIBLE_DEVICES=1,2\n", [("h6", None)]),
    ],
)
def test_observed_shapes(text: str, expected: list[tuple[str, int | None]] | None) -> None:
    if expected is None:
        with pytest.raises(InputError):
            parse_observed(text)
    else:
        assert [tuple(seat) for seat in parse_observed(text)] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("0 h6\n2 h1\n", "rank 1 is missing"),
        ("0 h6\n0 h1\n", "observed order:2: rank 0 is on h1 here"),
        ("h6\nh1\n", "observed order:1: not of the form"),
        ("0 h6 one\n", "not of the form"),
        ("# nothing\n", "no rank"),
        ("rank,host\n0,h6\n0,h1\n", "observed order:3: rank 0 stands there twice"),
        ("rank,host\nx,h6\n", "whole numbers"),
        ("rank,node\n0,h6\n", "must name the columns"),
        ("{", "not JSON"),
        ("[" * 100000, "not JSON"),
        ('{"host": "h6"}', "a list `host`"),
        ('{"host": ["h6"], "gpu": []}', "as many entries"),
        ('{"host": [1]}', "must hold names"),
        ('{"host": ["a"], "gpu": [true]}', "whole numbers"),
        ('{"host": ["a", "b"], "rank": [0, 0]}', "different whole numbers"),
        ('[{"gpu": 1}]', "needs 'host'"),
    ],
)
def test_bad_observed_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_observed(text)
    assert message in str(caught.value)


def test_place_observed_fills_in_gpus(fabric_of: Callable[..., Fabric]) -> None:
    fabric = fabric_of(["a", "b"], gpus=3)
    placement = place_observed(fabric, (Seat("b"), Seat("b", 0), Seat("A.example"), Seat("b")))
    assert placement.gpu.tolist() == [4, 3, 0, 5]
    with pytest.raises(InputError, match="which the fabric does not have"):
        place_observed(fabric, (Seat("c"),))
    with pytest.raises(InputError, match="GPU 7"):
        place_observed(fabric, (Seat("a", 7),))
    with pytest.raises(InfeasibleError, match="rank 3 has no GPU left on a"):
        place_observed(fabric, (Seat("a"),) * 4)
