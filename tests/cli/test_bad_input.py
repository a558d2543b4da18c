"""Bad input ends with the right exit code and one clear message, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

# ruff: noqa: E501 - a table reads better in rows
# name -> (file to change, text to replace, replacement, exit code, what the message must contain)
CASES: dict[str, tuple[str, str, str, int, tuple[str, ...]]] = {
    "bad YAML": ("fabric.yaml", "tiers: [leaf, core]", "tiers: [leaf, core", 2, ("fabric.yaml:",)),
    "wrong type": ("fabric.yaml", "gpus: 4", "gpus: four", 2, ("fabric.yaml:6:", "gpus")),
    "unknown host type": ("fabric.yaml", "type: box, group: leaf-0", "type: bx, group: leaf-0", 2, ("fabric.yaml:13:", "bx")),
    "cyclic groups": ("fabric.yaml", "{name: core-0, tier: core}", "{name: core-0, tier: core, parent: leaf-0}", 2, ("core-0",)),
    "host in two groups": ("fabric.yaml", '"n[6-11]"', '"n[5-11]"', 2, ("n5",)),
    "bandwidth without unit": ("fabric.yaml", "bandwidth: 400 Gb/s}", "bandwidth: 400}", 2, ("unit",)),
    "bandwidth below zero": ("fabric.yaml", "bandwidth: 400 Gb/s}", "bandwidth: -400 Gb/s}", 2, ("above zero",)),
    "unknown key": ("fabric.yaml", "routing: ecmp", "ruoting: ecmp", 2, ("ruoting", "routing")),
    "shell characters": ("fabric.yaml", '"n[6-11]"', '"n$(reboot)"', 2, ("fabric.yaml:14:", "refused")),
    "unknown group": ("fabric.yaml", "group: leaf-1}", "group: leaf-9}", 2, ("leaf-9",)),
    "alias bomb": ("fabric.yaml", "kind: Fabric", "kind: Fabric\n" + BOMB, 2, ("fabric.yaml",)),
    "unknown unavailable host": ("fabric.yaml", 'unavailable: "n3"', 'unavailable: "m3"', 2, ("m3",)),
    "more ranks than GPUs": ("job.yaml", "dp: 16", "dp: 32", 3, ("20 missing", "64 ranks")),
    "ep does not divide": ("job.yaml", "ep: 8", "ep: 5", 2, ("job.yaml", "5")),
    "unknown model": ("job.yaml", "mixtral-8x22b", "mixtral-8x2b", 2, ("mixtral-8x22b",)),
    "more stages than layers": ("job.yaml", "pp: 2, dp: 16", "pp: 2, dp: 16, vpp: 50", 3, ("layers",)),
    "exposure above one": ("job.yaml", "name: moe", "name: moe\nexposure: {dp: 1.5}", 2, ("exposure",)),
    "missing load": ("job.yaml", "name: moe", "name: moe\nexperts: {slots_per_gpu: 2, load: gone.npy}", 2, ("gone.npy",)),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_broken_file_is_refused(files: Path, topoplan: Callable[..., Any], case: str) -> None:
    file, old, new, code, words = CASES[case]
    text = (files / file).read_text()
    assert old in text
    (files / file).write_text(text.replace(old, new, 1))
    before = sorted(p.name for p in files.iterdir())
    result = topoplan("solve", "job.yaml", "--topology", "fabric.yaml", "--out", "plan")
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    assert result.err.count("topoplan: error:") == 1
    for word in words:
        assert word in result.err
    assert sorted(p.name for p in files.iterdir()) == before


def _load(rows: Any, where: Path) -> None:
    np.save(where, rows)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: x.__setitem__((1, 2), np.nan), "layer 1"),
        (lambda x: x.__setitem__((2, 0), -1.0), "layer 2"),
        (lambda x: x.__setitem__(3, 0.0), "layer 3"),
    ],
)
def test_a_broken_load_names_its_layer(
    files: Path, topoplan: Callable[..., Any], change: Callable[[Any], None], word: str
) -> None:
    load = np.ones((4, 8))
    change(load)
    np.save(files / "load.npy", load)
    result = topoplan("experts", "load.npy", "-t", "fabric.yaml", "--gpus", "4", "--slots", "12", "--out", "plan")
    assert result.code == 2
    assert word in result.err
    assert not (files / "plan").exists()


def test_a_pickled_array_is_not_opened(files: Path, topoplan: Callable[..., Any]) -> None:
    np.save(files / "load.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    result = topoplan("experts", "load.npy", "-t", "fabric.yaml", "--gpus", "4", "--slots", "12")
    assert result.code == 2


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (("solve", "gone.yaml", "-t", "fabric.yaml"), 2, "gone.yaml"),
        (("solve", "job.yaml", "-t", "gone.yaml"), 2, "gone.yaml"),
        (("solve", "job.yaml", "-t", "fabric.yaml", "--hosts", "n[0-"), 2, "brackets"),
        (("solve", "job.yaml", "-t", "fabric.yaml", "--hosts", "n[0-4],zz"), 2, "zz"),
        (("solve", "job.yaml", "-t", "fabric.yaml", "--hosts", "n[0-4]"), 3, "missing"),
        (("solve", "job.yaml", "-t", "fabric.yaml", "--launcher", "openmp"), 2, "openmpi"),
        (("solve", "fabric.yaml", "-t", "fabric.yaml"), 2, "Job"),
        (("solve", "job.yaml", "-t", "job.yaml"), 2, "Fabric"),
        (("slove",), 2, "solve"),
        (("solve", "job.yaml", "-t", "fabric.yaml", "--objective", "speed"), 2, "objective"),
        (("verify", "nowhere"), 2, "nowhere"),
        (("experts", "job.yaml", "-t", "fabric.yaml", "--gpus", "4", "--slots", "8"), 2, "job.yaml"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    files: Path, topoplan: Callable[..., Any], args: tuple[str, ...], code: int, word: str
) -> None:
    result = topoplan(*args)
    assert result.code == code, result.err
    assert word in result.err
    assert "Traceback" not in result.err


def test_a_folder_that_is_not_a_plan_is_left_alone(files: Path, topoplan: Callable[..., Any]) -> None:
    (files / "mine").mkdir()
    (files / "mine" / "thesis.txt").write_text("irreplaceable")
    result = topoplan("solve", "job.yaml", "-t", "fabric.yaml", "--out", "mine", "--no-report")
    assert result.code == 2
    assert [p.name for p in (files / "mine").iterdir()] == ["thesis.txt"]


def test_a_truncated_ibnetdiscover_file_is_refused(files: Path, topoplan: Callable[..., Any]) -> None:
    (files / "net.out").write_text(
        'Switch\t2 "S-0001"\t\t# "leaf" enhanced port 0 lid 1 lmc 0\n[1]\t"H-0002"[1](2) \t\t# "a HCA-1"'
    )
    result = topoplan("solve", "job.yaml", "-t", "net.out")
    assert result.code == 2
    assert "net.out" in result.err
