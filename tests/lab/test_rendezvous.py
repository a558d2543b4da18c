"""Real elastic torchrun with topoplan's rendezvous: planned ranks, also after a host is lost and a spare stands in."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.lab.plans import SEEDS, cluster, shuffled_gpus
from topoplan.launchers import read_observed
from topoplan.launchers.shim import RENDEZVOUS
from topoplan.model.placement import RankPlacement

if TYPE_CHECKING:
    from tests.lab.netlab import Lab
    from tests.lab.proof import Planned

pytestmark = pytest.mark.lab

RACKS = {"n1": 0, "n2": 1, "n3.example": 0, "n10": 1, "N11": 0, "n12": 1, "n13": 0}
RANKS = 12
# A lost host is noticed after 3 s, and nobody is waited for longer than 1 s once there are hosts for all ranks.
QUICK = "--rdzv-conf=keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout={}"


class Agents:
    """Agents on hosts, ended with the block."""

    def __init__(self, lab: Lab, folder: Path, torchrun: str, planned: Planned, program: str) -> None:
        self.lab, self.folder = lab, folder
        self._python = str(Path(torchrun).parent / "python")
        self._file = str(planned.files / RENDEZVOUS)
        self._program = [program, str(folder), planned.probe]
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, host: str, last_call: int) -> None:
        env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0"}
        words = [self._python, self._file, QUICK.format(last_call), *self._program]
        self.running[host] = self.lab.start(host, words, env)

    def wait_for(self, name: str, lines: int, seconds: float = 120) -> str:
        """A file of the folder, once it has so many lines."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = (self.folder / name).read_text() if (self.folder / name).exists() else ""
            if text.count("\n") >= lines:
                return text
            ended = [host for host, process in self.running.items() if process.poll() is not None]
            if ended:
                pytest.fail(f"{ended[0]} ended before {name}: {self.running[ended[0]].communicate()[1][-3000:]}")
            time.sleep(0.1)
        for host in self.running:
            self.lab.kill(host)
        said = {host: process.communicate()[1][-1500:] for host, process in self.running.items()}
        pytest.fail(f"not {lines} lines in {name} after {seconds} s: {said}")

    def stop(self) -> None:
        for host, process in self.running.items():
            if process.poll() is None:
                self.lab.kill(host)
            process.communicate()


@pytest.fixture
def agents(lab: Lab, tmp_path: Path, torchrun: str) -> Iterator[Callable[[Planned, str], Agents]]:
    made: list[Agents] = []

    def make(planned: Planned, program: str) -> Agents:
        made.append(Agents(lab, tmp_path, torchrun, planned, str(Path(__file__).parent / program)))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_host_is_replaced_by_the_spare(
    seed: int, lab: Lab, plan: Callable[..., Planned], agents: Callable[[Planned, str], Agents], tmp_path: Path
) -> None:
    placement = shuffled_gpus(RACKS, seed, spares=1)
    planned = plan(placement, "shim")
    hosts = [placement.fabric.host_names[h] for h in placement.host[::2].tolist()]
    (spare,) = set(RACKS) - set(hosts)
    lost = hosts[1 + 2 * seed]  # rank 0 is where they meet

    job = agents(planned, "together.py")
    for host in RACKS if seed == 0 else hosts:
        job.start(host, last_call=8 if seed == 0 else 1)
    planned.prove(job.wait_for("first", RANKS))
    if seed:  # a spare that comes late disturbs nobody
        job.start(spare, last_call=1)
    (tmp_path / "finish").touch()
    lab.kill(lost)
    job.running.pop(lost).communicate()
    seen = read_observed(job.wait_for("second", RANKS)).order
    said = {host: process.communicate(timeout=180)[1] for host, process in job.running.items()}

    node = hosts.index(lost)
    assert [seat.host for seat in seen if seat] == [
        spare if rank // 2 == node else host for rank, host in enumerate(h for h in hosts for _ in range(2))
    ]
    gpus = placement.local.tolist()
    gpus[2 * node : 2 * node + 2] = [0, 1]
    assert [seat.gpu for seat in seen if seat] == gpus
    assert [host for host, process in job.running.items() if process.returncode] == []
    assert f"{spare} stands in for {lost} as node rank {node}" in said[spare]


def test_collectives_go_on_without_the_lost_host(
    lab: Lab, plan: Callable[..., Planned], agents: Callable[[Planned, str], Agents], tmp_path: Path
) -> None:
    """Over real gloo, one rank a host; the spare comes late."""
    fabric = cluster(RACKS, 1)
    placement = RankPlacement(fabric, np.random.default_rng(4).permutation(len(RACKS))[:-1])
    planned = plan(placement, "shim")
    hosts = [fabric.host_names[h] for h in placement.host.tolist()]
    (spare,) = set(RACKS) - set(hosts)
    job = agents(planned, "gloo_ranks.py")
    for host in hosts:
        job.start(host, last_call=1)
    planned.prove(job.wait_for("first", len(hosts)))
    job.start(spare, last_call=1)
    (tmp_path / "finish").touch()
    lab.kill(hosts[2])
    job.running.pop(hosts[2]).communicate()
    seen = read_observed(job.wait_for("second", len(hosts))).order
    assert [seat.host for seat in seen if seat] == [*hosts[:2], spare, *hosts[3:]]
    for process in job.running.values():
        assert process.wait(timeout=180) == 0


def test_the_installed_handler_and_a_spare_that_is_not_needed(
    lab: Lab, plan: Callable[..., Planned], torchrun: str, refuse: Callable[[str], None]
) -> None:
    """torchrun finds the handler through its entry point, where topoplan is installed beside it."""
    python = str(Path(torchrun).parent / "python")
    code = "from importlib.metadata import entry_points as e; print(e(group='torchrun.handlers'))"
    known = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    if "topoplan" not in known:
        refuse(f"topoplan with its handler is not installed for {python}: pip install -e .")
    placement = shuffled_gpus(RACKS, 3, spares=1)
    planned = plan(placement, "shim")
    head = placement.fabric.host_names[placement.host[0]]
    options = [
        "--nnodes=6:7", "--nproc-per-node=2", "--rdzv-backend=topoplan", "--rdzv-id=lab", f"--rdzv-endpoint={head}",
        f"{QUICK.format(60)},plan={planned.files / RENDEZVOUS}", "--no-python", planned.probe,
    ]  # fmt: skip
    running = [lab.start(host, [torchrun, *options], {"OMP_NUM_THREADS": "1"}) for host in RACKS]
    ends = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * len(RACKS), ends
    planned.prove("".join(out for out, _ in ends))
    assert sum("was not needed" in err or "has gone" in err for _, err in ends) == 1
