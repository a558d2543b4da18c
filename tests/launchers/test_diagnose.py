"""Each known cause is told from the order alone, and in the launcher's own terms where the launcher is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from topoplan.launchers import Seat, compare, get_launcher
from topoplan.launchers.base import Symptom
from topoplan.launchers.diagnose import Orders, diagnose
from topoplan.model.placement import RankPlacement

NAMES = ["n1", "n2", "n3", "n10", "n11", "N4"]
WANTED = ["n3", "n10", "n2", "n1"]
PLAN = [host for host in WANTED for _ in range(2)]


def find(planned: str, seen: str, gpus: str = "", seen_gpus: str = "") -> list[tuple[Symptom, str]]:
    def numbers(text: str) -> list[int]:
        return [NAMES.index(name) if name in NAMES else -1 for name in text.split()]

    want, got = (
        numbers(planned),
        [None if name == "-" else n for name, n in zip(seen.split(), numbers(seen), strict=True)],
    )
    local = [int(g) for g in gpus] or [0] * len(want)
    seats = [
        None if name == "-" else Seat(name, int(seen_gpus[i]) if seen_gpus else None)
        for i, name in enumerate(seen.split())
    ]
    return [(found.symptom, found.detail) for found in diagnose(Orders(want, got, NAMES, local, seats))]


def twice(hosts: str) -> str:
    return " ".join(f"{host} {host}" for host in hosts.split())


@pytest.mark.parametrize(
    ("seen", "symptom", "detail"),
    [
        (twice("n1 n10 n2 n3"), Symptom.SORTED, "as text, n10 before n2"),
        (twice("n1 n2 n3 n10"), Symptom.SORTED, "by number"),
        (twice("n1 n2 n10 n3"), Symptom.REVERSED, ""),  # of the plan, not of the names
        (twice("n1 n3 n10 n2"), Symptom.LOCAL_FIRST, ""),  # the last first is also a rotation
        (twice("n2 n1 n3 n10"), Symptom.ROTATED, "the planned order, begun at its host number 3"),
        (twice("n10 n3 n2 n1"), Symptom.LOCAL_FIRST, ""),
        ("n3 n10 n10 n2 n2 n1 n1 n3", Symptom.SHIFTED, "each rank is where rank r+1 should be"),
        ("n1 n3 n3 n10 n10 n2 n2 n1", Symptom.SHIFTED, "each rank is where rank r-1 should be"),
        ("n3 n10 n2 n1 n3 n10 n2 n1", Symptom.ROUND_ROBIN, ""),
        ("n1 n2 n3 n10 n1 n2 n3 n10", Symptom.ROUND_ROBIN, "in the order n1, n2, n3, n10"),
        ("n3 n3 n3 n3 n10 n10 n10 n10", Symptom.PACKED, "nothing ran on n2, n1"),
        ("n3 n3 n3 n10 n10 n2 n2 n1", Symptom.BLOCKS, ""),
        (twice("n3 n10 n11 n1"), Symptom.FOREIGN_HOST, "nothing ran on n2"),
        ("n3 n3 n10 n10 n2 n2 n1 stranger", Symptom.FOREIGN_HOST, ""),
        ("n3 n3 - - n2 n2 n1", Symptom.MISSING, "ranks 2, 3, 7 of 8 did not report, and nothing ran on n10"),
        ("n3 n3 n10 n10 n2 n2 - n1", Symptom.MISSING, "rank 6 of 8 did not report"),
        (twice("n3 n10 n2 n1 n1"), Symptom.EXTRA, "the plan has 8 ranks"),
        ("n3 n10 n3 n2 n10 n1 n2 n1", Symptom.OTHER, ""),
        (twice("n2 n1 n10 n3"), Symptom.OTHER, ""),
    ],
)
def test_causes(seen: str, symptom: Symptom, detail: str) -> None:
    assert find(" ".join(PLAN), seen)[0] == (symptom, detail)


def test_a_host_that_is_folded_into_one_block() -> None:
    assert find("n1 n2 n1 n2", "n1 n1 n2 n2")[0] == (Symptom.BLOCKS, "")


def test_names_sorted_in_lower_case_or_downwards() -> None:
    assert find(twice("n3 N4 n2 n1"), twice("n1 n2 n3 N4"))[0] == (Symptom.SORTED, "as text, in lower case")
    down = find(twice("n2 n10 n1 n3"), twice("n10 n3 n2 n1"))
    assert (Symptom.REVERSED, "sorted by name, the last first") in down


@pytest.mark.parametrize(
    ("gpus", "seen", "detail"),
    [
        ("2031", "0101", "local rank i is on GPU i, as without CUDA_VISIBLE_DEVICES"),
        ("2031", "0213", "the GPUs of each host are in reverse"),
        ("2031", "2233", "all ranks of a host are on one GPU"),
        ("2031", "2013", "the GPUs of each host are in reverse"),  # of each that differs
        ("2031", "2030", ""),
    ],
)
def test_gpus_in_another_order(gpus: str, seen: str, detail: str) -> None:
    assert find("n1 n1 n2 n2", "n1 n1 n2 n2", gpus, seen) == [(Symptom.GPU_ORDER, detail)]


def test_permuted_gpus_are_shown() -> None:
    found = find("n1 n1 n1", "n1 n1 n1", "201", "012")
    assert found == [(Symptom.GPU_ORDER, "local rank i is on GPU i, as without CUDA_VISIBLE_DEVICES")]
    found = find("n1 n1 n1", "n1 n1 n1", "201", "120")
    assert found == [(Symptom.GPU_ORDER, "the planned GPUs in another order: n1 has 1,2,0 where the plan has 2,0,1")]


@pytest.fixture
def plan(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    return placement_of(NAMES, [(host, i % 2) for i, host in enumerate(PLAN)])


def reason(plan: RankPlacement, seen: str, launcher: str | None) -> str:
    observed = [Seat(host) for host in seen.split()]
    return compare(plan, observed, get_launcher(launcher) if launcher else None)[0].reason


def test_the_launcher_decides_between_causes_that_fit_equally(plan: RankPlacement) -> None:
    seen = twice("n1 n3 n10 n2")
    assert "Open MPI 4 moved n1 to the front" in reason(plan, seen, "openmpi")
    assert "as Open MPI 4 does" in reason(plan, seen, None)
    only = twice("n2 n1 n3 n10")  # nothing that torchrun does by itself
    assert "each host must run run.sh" in reason(plan, only, "torchrun")
    assert "(the planned order, begun at its host number 3)" in reason(plan, only, "torchrun")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (twice("n1 n10 n2 n3"), "sorted by name, as torchrun's c10d rendezvous"),
        (twice("n1 n2 n10 n3"), "in reverse"),
        (twice("n2 n1 n3 n10"), "MPIJob's runLauncherAsWorker"),
        ("n3 n10 n10 n2 n2 n1 n1 n3", "another process took the first ranks"),
        ("n3 n10 n2 n1 n3 n10 n2 n1", "dealt to hosts in turn"),
        ("n3 n3 n3 n10 n10 n2 n2 n1", "fold a host's lines into one"),
        (twice("n2 n1 n10 n3"), "Kubernetes with its pods"),
    ],
)
def test_without_a_launcher_the_order_tells(plan: RankPlacement, seen: str, words: str) -> None:
    assert words in reason(plan, seen, None)


def test_every_symptom_has_words() -> None:
    from topoplan.launchers.verify import _GENERAL

    assert set(_GENERAL) == set(Symptom)
