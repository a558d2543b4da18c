"""Proof that a launcher obeys: a plan on disk, its files as `topoplan export` writes them, and what a run reported."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

from topoplan.cli import run
from topoplan.launchers import read_observed
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.planning.artefacts import plan_artefacts
from topoplan.planning.folder import save


@dataclass(frozen=True)
class Planned:
    """A plan and one launcher's files for it, in a folder that all hosts see."""

    plan: Path
    launcher: str

    @property
    def files(self) -> Path:
        """Folder of the launcher's files."""
        return self.plan / "launch" / self.launcher

    @property
    def probe(self) -> str:
        """The program that says where it runs."""
        return str(self.plan / "launch" / "probe" / "topoplan-probe")

    def prove(self, output: str) -> None:
        """Assert that every rank ran on the host and GPU of plan.json, and that `topoplan verify` says so too."""
        seen = read_observed(output).order
        planned = json.loads((self.plan / "plan.json").read_text())["placement"]
        assert [(seat.host, seat.gpu) for seat in seen if seat] == list(
            zip(planned["host"], planned["gpu"], strict=True)
        )
        assert "every rank where the plan says" in self.verify(output, 0)

    def verify(self, output: str, code: int) -> str:
        """What `topoplan verify --observed` says, after it ended with a code."""
        seen = self.plan / "seen.txt"
        seen.write_text(output)
        return _topoplan(code, "verify", str(self.plan), "--observed", str(seen), "--launcher", self.launcher)


def plan_for(placement: RankPlacement, launcher: str, folder: Path, *settings: str) -> Planned:
    """Write a plan folder, and a launcher's files and the probe with `topoplan export`."""
    plan = folder / "plan"
    save(str(plan), plan_artefacts(Plan("lab", placement.fabric.name, {}, 0, placement=placement), None), {})
    options = [word for setting in settings for word in ("--set", setting)]
    _topoplan(0, "export", str(plan), "--launcher", launcher, "--probe", *options)
    return Planned(plan, launcher)


def _topoplan(code: int, *arguments: str) -> str:
    """Run a command of topoplan, which must end with this code; what it prints on both streams."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        found = run(list(arguments))
    assert found == code, shown.getvalue()
    return shown.getvalue()
