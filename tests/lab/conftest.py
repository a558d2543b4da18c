"""Fixtures of the lab: hosts in network namespaces, launch files on them, launchers found or refused with a reason."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.netlab import Lab, LabError, why_no_lab
from tests.lab.proof import Planned, plan_for
from topoplan.launchers import LaunchFile
from topoplan.model.placement import RankPlacement


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one module share its lab, so one process runs them all; labs of two modules share nothing."""
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def cannot_run(reason: str) -> NoReturn:
    """Skip, or fail where the lab must run."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI must run the lab: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def refuse() -> Callable[[str], NoReturn]:
    return cannot_run


@pytest.fixture(scope="session")
def namespaces() -> None:
    reason = why_no_lab()
    if reason:
        cannot_run(reason)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab of a test module, with the hosts of its `RACKS`; set up again if the first try fails."""
    folder = tmp_path_factory.mktemp("lab")
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(Lab(request.module.RACKS, folder))
        except LabError:
            opened = stack.enter_context(Lab(request.module.RACKS, folder))
        yield opened


@pytest.fixture
def write_files(tmp_path: Path) -> Callable[[Mapping[str, LaunchFile]], Path]:
    """Put launch files into a folder that all hosts see."""

    def write(files: Mapping[str, LaunchFile]) -> Path:
        folder = tmp_path / "launch"
        folder.mkdir()
        for name, file in files.items():
            (folder / name).write_text(file.text)
            (folder / name).chmod(0o755 if file.executable else 0o644)
        return folder

    return write


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Planned]:
    """Write a placement as a plan folder with one launcher's files and the probe; all hosts see it."""

    def write(placement: RankPlacement, launcher: str, *settings: str) -> Planned:
        return plan_for(placement, launcher, tmp_path, *settings)

    return write


@pytest.fixture(scope="session")
def torchrun() -> str:
    """torchrun of TOPOPLAN_TORCHRUN, else of the interpreter that runs the tests."""
    path = Path(os.environ.get("TOPOPLAN_TORCHRUN") or Path(sys.executable).parent / "torchrun")
    if not path.exists():
        cannot_run(f"no torchrun at {path}: install torch there, or set TOPOPLAN_TORCHRUN")
    return str(path)
