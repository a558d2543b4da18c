"""The cells: hosts in racks, names over racks, rates of uplinks; each as a Fabric, a Job and the orders to try."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import topoplan
from tests.lab.netlab import ETHERNET, TCP_IP
from topoplan.cost.price import near_seconds, predict, uplink_seconds
from topoplan.cost.routes import Routes, link_loads
from topoplan.model.fabric import Fabric, FloatArray
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.model.traffic import Traffic
from topoplan.planning.solve import job_traffic

GPUS = 2  # processes a host; they share its one NIC
NIC_MBIT = 50  # low enough that the shaping, not two busy cores, is what limits
FIRST = 5  # n5 to n20: sorted as text they are not in the order of numbers
TRANSPORTS = ("openmpi", "gloo")
HOSTS, RACKS, OVER, NAMES = (8, 16), (2, 4), (1, 2, 4), ("contiguous", "interleaved", "random")

CLEARLY = 1.01  # times as long as any NIC that an uplink needs to be called the bottleneck

MTU = 9000  # fewer packets for the two cores to carry, as on real clusters
PAYLOAD = (MTU - TCP_IP) / (MTU + ETHERNET)  # share of what tbf lets through that is not headers

FABRIC = """\
apiVersion: topoplan/v1
kind: Fabric
name: lab
routing: adaptive  # one link an uplink: nothing to hash
host_types:
  box:
    gpus: 2
    scale_up: {{domain: host, bandwidth: 1 GB/s}}  # memory that two processes share: assumed, and not compared
    nics: [{{name: eth0, gpu: 0, also: [1], bandwidth: {nic:.6f} Mb/s}}]
tiers: [rack, spine]
groups:
  - {{name: spine, tier: spine}}
"""
# A mixture-of-experts transformer of a size that such links can carry: tensor parallel inside hosts, expert groups
# over all data parallel ranks of a stage, as Megatron-core lays them out.
JOB = """\
apiVersion: topoplan/v1
kind: Job
name: lab-step
model:
  layers: {layers}
  hidden: 192
  heads: 4
  ffn: 384
  vocabulary: 512
  routing: {{experts: 16, top_k: 2}}
  expert_ffn: 32
parallel: {{tp: 2, ep: 8, dp: 4, pp: {pp}}}
batch: {{sequence: 32, micro_batch: 1, micro_batches: 8}}
"""


@dataclass(frozen=True)
class Cell:
    """One line of the table; `names` says how racks are dealt to the hosts in the order of their numbers."""

    hosts: int
    racks: int
    over: int
    names: str

    def __str__(self) -> str:
        return f"{self.hosts}x{self.racks} {self.names} {self.over}:1"

    @property
    def uplink_mbit(self) -> float:
        """Rate of a rack's uplink."""
        return NIC_MBIT * self.hosts / self.racks / self.over

    def rack_of(self) -> dict[str, int]:
        """Rack of each host, by name in the order of numbers."""
        rack = np.arange(self.hosts) // (self.hosts // self.racks)
        if self.names == "interleaved":
            rack = np.arange(self.hosts) % self.racks
        if self.names == "random":
            rack = np.random.default_rng(self.hosts * 100 + self.racks).permutation(rack)
        return {f"n{FIRST + i}": int(r) for i, r in enumerate(rack)}

    def fabric_text(self) -> str:
        """The fabric, with the rates at which its links carry payload."""
        racks = self.rack_of()
        uplink = self.uplink_mbit * PAYLOAD
        lines = [FABRIC.format(nic=NIC_MBIT * PAYLOAD).rstrip()]
        lines += [f"  - {{name: rack-{r}, tier: rack, parent: spine, uplink: {uplink:.6f} Mb/s}}"
                  for r in range(self.racks)]  # fmt: skip
        lines.append("hosts:")
        lines += [f"  - {{names: {name}, type: box, group: rack-{rack}}}" for name, rack in racks.items()]
        return "\n".join(lines) + "\n"

    def job_text(self) -> str:
        """The job of all GPUs."""
        pp = self.hosts // 4
        return JOB.format(layers=2 * pp, pp=pp)


@dataclass(frozen=True)
class Forecast:
    """What is predicted of an order: ms by axis, the axes that an uplink holds back, bytes up and down each uplink."""

    ms: Mapping[str, float]
    uplink_bound: tuple[str, ...]
    uplink_bytes: FloatArray


@dataclass(frozen=True)
class Case:
    """A cell read by topoplan, with its orders; those named in `same` are one and the same as another."""

    cell: Cell
    fabric: Fabric
    job: Job

    @classmethod
    def of(cls, cell: Cell) -> Case:
        """Read the cell's files."""
        with tempfile.TemporaryDirectory() as name:
            fabric, job = Path(name, "fabric.yaml"), Path(name, "job.yaml")
            fabric.write_text(cell.fabric_text())
            job.write_text(cell.job_text())
            return cls(cell, topoplan.read_fabric(fabric), topoplan.read_job(job))

    @cached_property
    def traffic(self) -> Traffic:
        """Bytes of a step."""
        return job_traffic(self.job, self.fabric)

    @cached_property
    def orders(self) -> dict[str, RankPlacement]:
        """Orders that are tried.

        numbers is Open MPI's default for a hostfile of scheduled hosts, strings that of torchrun's c10d (both are shown
        by the lab's tests); linear knows the racks: rack by rack, hosts by number.
        """
        racks = self.cell.rack_of()
        plan = topoplan.solve(self.job, self.fabric).placement
        assert plan is not None
        return {
            "numbers": self._in_order(sorted(racks, key=_number)),
            "strings": self._in_order(sorted(racks)),
            "linear": self._in_order(sorted(racks, key=lambda name: (racks[name], _number(name)))),
            "plan": plan,
        }

    @cached_property
    def same(self) -> dict[str, str]:
        """The first order that puts every rank where this one does: they are launched once."""
        return {
            order: next(other for other, at in self.orders.items() if (at.gpu == placement.gpu).all())
            for order, placement in self.orders.items()
        }

    def forecast(self, order: str) -> Forecast:
        """What topoplan predicts of an order."""
        fabric, traffic, gpu = self.fabric, self.traffic, self.orders[order].gpu
        bound = []
        total = np.zeros((2, len(fabric.uplink_links)))
        for name, flows in zip(traffic.axes, traffic.by_axis, strict=True):
            routes = Routes.of(fabric, gpu[traffic.src[flows]], gpu[traffic.dst[flows]])
            loads = link_loads(routes, traffic.bytes[flows])
            total += loads.uplink
            near = max(seconds.max(initial=0) for seconds in near_seconds(fabric, loads.scale_up, loads.port))
            if uplink_seconds(fabric, loads).max(initial=0) > CLEARLY * near:
                bound.append(name)
        racks = [g for g, group in enumerate(fabric.groups) if group.tier == 0]
        return Forecast(predict(fabric, traffic, gpu).axes, tuple(bound), total[:, racks])

    def _in_order(self, hosts: list[str]) -> RankPlacement:
        names = [host for host in hosts for _ in range(GPUS)]
        return RankPlacement.from_hosts(self.fabric, names, list(range(GPUS)) * len(hosts))


def default_order(transport: str) -> str:
    """The order that a transport's launcher makes when nobody tells it one."""
    return "numbers" if transport == "openmpi" else "strings"


def _number(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def all_cells() -> list[Cell]:
    """Every combination; those of the same lab stand together."""
    return [Cell(hosts, racks, over, names) for hosts in HOSTS for racks in RACKS for names in NAMES for over in OVER]
