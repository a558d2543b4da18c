"""The written rendezvous handler: its table, the options that it gives torchrun, and what it refuses before torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from topoplan.launchers import LaunchFile, LaunchRequest, get_launcher
from topoplan.launchers.portable import rendezvous
from topoplan.launchers.shim import RENDEZVOUS, SHIM
from topoplan.model.placement import RankPlacement
from topoplan.rendezvous import handler_creator

Write = Callable[[Mapping[str, LaunchFile]], Path]
Place = Callable[..., RankPlacement]


@pytest.fixture
def folder(placement_of: Place, write_all: Write) -> Path:
    seats = [("b", 1), ("b", 0), ("a", 0), ("a", 1), ("c", 1)]
    placement = placement_of(["a", "b", "c", "s2", "s10"], seats)
    return write_all(get_launcher("shim").write(LaunchRequest(placement, spares=("s10",))))


def program(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(folder / RENDEZVOUS), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180, cwd="/")


@pytest.mark.parametrize("file", [RENDEZVOUS, SHIM])
def test_hosts_and_spares_of_what_export_writes(file: str, folder: Path) -> None:
    rows, spares = rendezvous.plan_rows(str(folder / file))
    assert [(row.host, list(row.ranks), list(row.devices)) for row in rows] == [
        ("b", [0, 1], [1, 0]), ("a", [2, 3], [0, 1]), ("c", [4], [1])
    ]  # fmt: skip
    assert [(spare.host, list(spare.ranks), len(spare.devices)) for spare in spares] == [("s10", [], 2), ("s2", [], 2)]
    assert [rendezvous.usual_processes(rows, me) for me in (*rows, *spares)] == [2, 2, 1, 2, 2]
    assert rendezvous.options(rows, spares, 2) == [
        "--nnodes=3:5", "--nproc-per-node=2", "--max-restarts=3", "--rdzv-backend=topoplan-file",
        "--rdzv-id=topoplan", "--rdzv-endpoint=b:29400",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "name topoplan_rendezvous.py or hosts.tsv"),
        ("a\tb\n", "no plan in"),
        ("a\t0,2\t0,1\t-\ta\nb\t1\t0\t-\tb\n", "the plan has others on a"),
        ("a\t0,1\t0,1\t-\ta\nb\t3\t0\t-\tb\n", "rank 2 is there not at all"),
        ("s\t-\t0,1\t-\ts\n", "no plan in"),
    ],
)
def test_other_files_are_refused(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "plan").write_text(text)
    with pytest.raises(SystemExit) as ended:
        rendezvous.plan_rows(str(tmp_path / "plan"))
    assert ended.value.code == 6
    assert message in capsys.readouterr().err


def test_the_file_refuses_strangers_before_it_looks_for_torch(folder: Path) -> None:
    stranger = program(folder, "train.py", TOPOPLAN_HOST="h99")
    assert (stranger.returncode, "h99 (TOPOPLAN_HOST)" in stranger.stderr) == (6, True)
    text = (folder / RENDEZVOUS).read_text()
    ast.parse(text, feature_version=(3, 8))
    assert text.startswith("#!/usr/bin/env python3\n# plan plan: 5 ranks on 3 hosts. Used by every host and spare")


def test_without_torch_it_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("")
    file = str(folder / RENDEZVOUS)
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.argv = ['x']; exec(open({file!r}).read())"
    command = [sys.executable, "-c", code]
    env = {"TOPOPLAN_HOST": "a"}
    bare = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)
    assert (bare.returncode, "has no torch" in bare.stderr) == (6, True)


def test_plans_that_torchrun_cannot_make_get_no_handler(any_ranks: RankPlacement) -> None:
    assert RENDEZVOUS not in get_launcher("shim").write(LaunchRequest(any_ranks))


def test_torch_finds_it_by_name() -> None:
    found = [entry for entry in entry_points(group="torchrun.handlers") if entry.name == "topoplan"]
    if not found:
        pytest.skip("this environment's topoplan was installed before it had a handler: pip install -e .")
    assert found[0].load() is handler_creator
    assert callable(handler_creator())
