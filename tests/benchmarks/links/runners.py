"""Ways to run a step on a lab's hosts: real Open MPI with topoplan's own launch files, and gloo."""

from __future__ import annotations

import json
import os
import select
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.benchmarks.links.cells import default_order
from tests.benchmarks.links.schedule import schedule_of
from tests.lab.netlab import Lab
from topoplan.launchers import LaunchRequest, get_launcher
from topoplan.model.placement import RankPlacement
from topoplan.model.traffic import Traffic

HERE = Path(__file__).parent
PATIENCE_S = 120
Steps = list[dict[str, float]]  # ms by phase
MPI_SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_oob_tcp_if_include": "eth0",
    "OMPI_MCA_btl_tcp_if_include": "eth0",
    "OMPI_MCA_btl": "self,vader,tcp",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # more ranks than cores
    # no question before a large message: its answer would wait behind the other messages of the phase
    "OMPI_MCA_btl_tcp_eager_limit": "4194304",
    "OMPI_MCA_btl_tcp_max_send_size": "4194304",
    "OMPI_MCA_coll_libnbc_iallreduce_algorithm": "1",  # the ring, as NCCL's for large messages
}


class RunError(RuntimeError):
    """A run failed or made another order than asked for."""


class Runner(Protocol):
    """Runs steps of a traffic with its ranks placed by an order."""

    name: str

    def run(self, lab: Lab, traffic: Traffic, placement: RankPlacement, order: str, steps: int) -> Steps:
        """Times of the steps of one launch.

        Raises
        ------
        RunError
            It failed, or ranks are not where the order has them.
        """


class OpenMpi:
    """mpirun on the first host, through run.sh for planned orders and a plain hostfile for the default one."""

    name = "openmpi"

    def __init__(self, folder: Path, mpicc: str = "mpicc.openmpi", mpirun: str = "mpirun.openmpi") -> None:
        self.folder, self.mpirun = folder, mpirun
        self.program = folder / "step"
        subprocess.run([mpicc, "-O2", "-o", str(self.program), str(HERE / "step.c")], check=True)
        self._written = 0

    def run(self, lab: Lab, traffic: Traffic, placement: RankPlacement, order: str, steps: int) -> Steps:
        """Times of the steps of one launch."""
        self._written += 1
        folder = self.folder / f"launch-{self._written}"
        folder.mkdir()
        for name, file in get_launcher("openmpi").write(LaunchRequest(placement)).items():
            (folder / name).write_text(file.text)
            (folder / name).chmod(0o755 if file.executable else 0o644)
        (folder / "schedule.txt").write_text(schedule_of(traffic))
        env = {**MPI_SETTINGS, "OMPI_MCA_plm_rsh_agent": str(lab.agent), "MPIRUN": self.mpirun}
        program = [str(self.program), str(folder / "schedule.txt"), str(steps)]
        command = [str(folder / "run.sh"), *program]
        if order == default_order(self.name):
            ranks = ["-np", str(placement.ranks), "--hostfile", str(folder / "hostfile"), "--bind-to", "none"]
            command = [self.mpirun, *ranks, *program]
        result = lab.run(next(iter(lab.racks)), command, env, PATIENCE_S)
        lines = [line.split() for line in result.stdout.splitlines()]
        hosts = next((line[1:] for line in lines if line[:1] == ["hosts"]), [])
        asked = _hosts(placement)
        if result.returncode or hosts != asked:
            raise RunError(f"{order}: asked for {asked}, got {hosts}\n{result.stderr}")
        return [dict(zip(line[1::2], map(float, line[2::2]), strict=True)) for line in lines if line[:1] == ["step"]]


class Gloo(AbstractContextManager["Gloo"]):
    """A process that has torch and forks the ranks; a rank's number is given by the order, as static torchrun gives it.

    Parameters
    ----------
    python
        An interpreter that has torch.
    """

    name = "gloo"

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.log = folder, folder / "gloo.log"
        with self.log.open("w") as log:
            self._server = subprocess.Popen(
                [python, str(HERE / "gloo_step.py")],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.communicate()

    def run(self, lab: Lab, traffic: Traffic, placement: RankPlacement, order: str, steps: int) -> Steps:
        """Times of the steps of one launch."""
        hosts = _hosts(placement)
        schedule = self.folder / "gloo-schedule.txt"
        schedule.write_text(schedule_of(traffic))
        run = {
            "namespaces": [lab.namespace(host) for host in hosts],
            "master": lab.address(hosts[0]),
            "port": 29500,  # in the namespace of the first host, where nothing else runs
            "schedule": str(schedule),
            "steps": steps,
        }
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(run) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise RunError(f"no torch: {self.log.read_text()[-2000:]}") from None
        ready, _, _ = select.select([stdout], [], [], PATIENCE_S)
        result: Steps | None = json.loads(stdout.readline() or "null") if ready else None
        if result is None:
            raise RunError(f"{order}: {self.log.read_text()[-2000:]}")
        return result


def _hosts(placement: RankPlacement) -> list[str]:
    """Host of each rank."""
    return [placement.fabric.host_names[host] for host in placement.host.tolist()]
