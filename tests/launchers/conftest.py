"""Placements to write, golden files, and shellcheck."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.shells import STRICT, complaints
from topoplan.launchers import LaunchFile
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement

GOLDEN = Path(__file__).parents[1] / "golden" / "launchers"


def make_fabric(
    names: Sequence[str], gpus: int = 2, aliases: Mapping[str, Mapping[str, str]] | None = None, nic: str = "mlx5_{}"
) -> Fabric:
    kind = HostType("box", gpus, tuple(Nic(g, 5e10, g, nic.format(g)) for g in range(gpus)), gpus, 4.5e11)
    known = aliases or {}
    hosts = tuple(Host(name, 0, aliases=tuple(sorted(known.get(name, {}).items()))) for name in names)
    return Fabric("lab", "ecmp", (kind,), hosts)


def place(fabric: Fabric, seats: Sequence[tuple[str, int]]) -> RankPlacement:
    return RankPlacement.from_hosts(fabric, [host for host, _ in seats], [gpu for _, gpu in seats])


@pytest.fixture
def fabric_of() -> Callable[..., Fabric]:
    return make_fabric


@pytest.fixture
def placement_of() -> Callable[..., RankPlacement]:
    """Placement on a fresh fabric of `names`: `seats` as (host, GPU) of each rank, else hosts and GPUs in order."""

    def build(
        names: Sequence[str], seats: Sequence[tuple[str, int]] | None = None, gpus: int = 2, **options: object
    ) -> RankPlacement:
        fabric = make_fabric(names, gpus, **options)  # type: ignore[arg-type]
        return RankPlacement(fabric, np.arange(fabric.gpus)) if seats is None else place(fabric, seats)

    return build


@pytest.fixture
def whole_hosts(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    """Six hosts in a shuffled order, GPUs swapped on every other one; h10 before h2 as text, a partial host last."""
    order = ("h6", "h10", "h2", "h0", "h7", "h1")
    seats = [(host, gpu) for i, host in enumerate(order) for gpu in ((1, 0) if i % 2 else (0, 1))][:-1]
    return placement_of(["h0", "h1", "h2", "h6", "h7", "h10", "spare"], seats)


@pytest.fixture
def any_ranks(placement_of: Callable[..., RankPlacement]) -> RankPlacement:
    """Ranks that come back to hosts that they had left."""
    seats = [("h6", 1), ("h1", 0), ("h10", 1), ("h6", 0), ("h2", 1), ("h10", 0), ("h0", 0), ("h1", 1), ("h0", 1)]
    return placement_of(["h0", "h1", "h2", "h6", "h10"], seats)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare text with a golden file; TOPOPLAN_UPDATE_GOLDEN=1 writes it instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("TOPOPLAN_UPDATE_GOLDEN") == "1":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run once with TOPOPLAN_UPDATE_GOLDEN=1 and look at it"
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture
def write_all(tmp_path: Path) -> Callable[[Mapping[str, LaunchFile]], Path]:
    """Put launch files into a folder and return it."""

    def write(files: Mapping[str, LaunchFile]) -> Path:
        folder = tmp_path / "launch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, file in files.items():
            (folder / name).write_text(file.text, encoding="utf-8")
            (folder / name).chmod(0o755 if file.executable else 0o644)
        return folder

    return write


@pytest.fixture
def shellcheck() -> Callable[[str], None]:
    """Fail on anything that shellcheck says about a script, style included."""

    def check(text: str) -> None:
        assert complaints({"script": text}, *STRICT) == ""

    return check
