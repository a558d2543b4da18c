"""Every written file: golden text, a comment that says what it is, and clean shell."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

import pytest

from topoplan.launchers import LAUNCHERS, LaunchRequest, get_launcher, kubernetes
from topoplan.launchers.slurm import node_list
from topoplan.model.placement import RankPlacement

ANY_RANKS = ("openmpi", "mpich", "intelmpi", "slurm", "ray", "devicemesh", "rankmap")
WHOLE_HOSTS = ("torchrun", "deepspeed", "accelerate", "dlrover", "megatron")
CASES = [*((name, "any_ranks") for name in ANY_RANKS), *((name, "whole_hosts") for name in WHOLE_HOSTS)]


def _files(name: str, case: str, request: pytest.FixtureRequest) -> dict[str, str]:
    placement: RankPlacement = request.getfixturevalue(case)
    stage = [rank // 4 for rank in range(placement.ranks)]
    made = get_launcher(name).write(LaunchRequest(placement, "golden plan", columns={"stage": stage}))
    return {file: content.text for file, content in made.items()}


def test_every_launcher_has_a_golden_case() -> None:
    kinds = {"shim", *(launcher.name for launcher in kubernetes.LAUNCHERS)}  # those have tests of their own
    assert {name for name, _ in CASES} == set(LAUNCHERS) - kinds


@pytest.mark.parametrize(("name", "case"), CASES)
def test_golden(name: str, case: str, golden: Callable[[str, str], None], request: pytest.FixtureRequest) -> None:
    for file, text in _files(name, case, request).items():
        golden(f"{name}/{file}", _head(text) if file.endswith(".py") else text)


def _head(text: str) -> str:
    """The comment above a bundled program, which has tests of its own."""
    return "".join(takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True))) + "...\n"


@pytest.mark.parametrize(("name", "case"), CASES)
def test_deterministic(name: str, case: str, request: pytest.FixtureRequest) -> None:
    assert _files(name, case, request) == _files(name, case, request)


def test_rankfile_shares_known_cores(any_ranks: RankPlacement) -> None:
    files = get_launcher("openmpi").write(LaunchRequest(any_ranks, cores_per_host=96))
    assert "rank 0=h6 slot=0-47\n" in files["rankfile"].text
    assert "rank 3=h6 slot=48-95\n" in files["rankfile"].text
    assert "rank 4=h2 slot=0-95\n" in files["rankfile"].text
    assert "ASSUMED" not in files["rankfile"].text


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["n3", "n1", "n2", "n10"], "n[1-3],n10"),
        (["n01", "n02"], "n[01-02]"),
        (["n1-ib", "n2-ib", "n3"], "n3,n1-ib,n2-ib"),  # older Slurm reads no text after a bracket
        (["login"], "login"),
    ],
)
def test_slurm_node_list(hosts: list[str], expected: str) -> None:
    assert node_list(hosts) == expected
