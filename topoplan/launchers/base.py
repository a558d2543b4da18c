"""What every launcher module is made of: a request in, files out, and the order that the launcher makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from topoplan.errors import InputError
from topoplan.launchers.express import check_expressible
from topoplan.model.capability import Freedom
from topoplan.model.job import Job
from topoplan.model.placement import RankPlacement
from topoplan.names import check_name

MASTER_PORT = 29500  # torch.distributed's own default port (torch/distributed/run.py)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?")


class Seat(NamedTuple):
    """Where one rank runs: the name of its host and the GPU index there, None where that is not known."""

    host: str
    gpu: int | None = None


Order = tuple[Seat, ...]


@dataclass(frozen=True, slots=True)
class LaunchFile:
    """A file that a launcher or a person uses."""

    text: str
    executable: bool = False


class Symptom(Enum):
    """What an observed order looks like beside the plan; see `topoplan.launchers.diagnose`."""

    ALONE = "every process alone"
    DUPLICATE = "ranks that several processes have"
    GPU_ORDER = "gpu order"
    FOREIGN_HOST = "foreign host"
    PACKED = "packed"
    LOCAL_FIRST = "local host first"
    SORTED = "sorted"
    REVERSED = "reversed"
    ROTATED = "hosts begun elsewhere"
    SHIFTED = "ranks shifted"
    ROUND_ROBIN = "round robin"
    BLOCKS = "blocks"
    MISSING = "missing ranks"
    EXTRA = "extra ranks"
    OTHER = "other"


@dataclass(frozen=True, eq=False)
class LaunchRequest:
    """What files are to be written for.

    Parameters
    ----------
    plan_name
        For comments and job names; made harmless, never refused.
    master_port
        Port of the first rank's host where ranks meet.
    cores_per_host
        CPU cores to share out among the ranks of a host, 0 when unknown.
    columns
        Further integer columns of the rank map, such as the pipeline stage, one value a rank.
    spares
        Hosts kept free that take over first where a launcher replaces a lost one.
    job
        What runs, for launchers that are told the parallel axes; None when only the ranks are known.
    program
        Program and arguments that scripts run when they are given none.
    nccl_topo_file, mixed_precision, namespace, image
        See `topoplan.launchers.settings`; "" when not set.
    shim
        Whether processes take their ranks through the rank shim, where a launcher writes it beside its own files.
    pin, gang, queue, scheduler, topology, gpu_resource, rdma, host_network, mpi
        For Kubernetes; see there too.

    Raises
    ------
    InputError
        A host or NIC whose name is not safe in every launch file.
    """

    placement: RankPlacement
    plan_name: str = "plan"
    master_port: int = MASTER_PORT
    cores_per_host: int = 0
    columns: Mapping[str, Sequence[int]] = field(default_factory=dict)
    spares: tuple[str, ...] = ()
    job: Job | None = None
    program: tuple[str, ...] = ()
    nccl_topo_file: str = ""
    mixed_precision: str = ""
    namespace: str = ""
    image: str = ""
    shim: bool = False
    pin: str = ""
    gang: str = ""
    queue: str = ""
    scheduler: str = ""
    topology: str = ""
    gpu_resource: str = ""
    rdma: str = ""
    host_network: bool = False
    mpi: str = ""

    def __post_init__(self) -> None:
        fabric = self.placement.fabric
        for h in self.placement.host_order():
            _check_host_name(fabric.hosts[h].name)
        for kind in fabric.host_types:
            for nic in kind.nics:
                if nic.name and not _LABEL.fullmatch(nic.name):
                    raise InputError(f"NIC name {nic.name[:80]!r} of host type {kind.name} is not safe in launch files")
        for name, values in self.columns.items():
            if not _LABEL.fullmatch(name) or len(values) != self.placement.ranks:
                raise InputError(f"column {name[:80]!r} of the rank map needs a plain name and one value a rank")
        if not 0 < self.master_port < 65536:
            raise InputError(f"port {self.master_port} does not exist", hint="choose 1024 to 65535")

    @property
    def label(self) -> str:
        """The plan's name with everything but letters, digits, '.', '_' and '-' replaced by '-'."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.plan_name).strip("-.") or "plan"


def _check_host_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise InputError(str(error)) from error


# Keys of `topoplan.launchers.settings` that launchers take unless they say otherwise.
USUAL_SETTINGS = ("program", "master_port", "nccl_topo_file")

_REORDERS = "reordered by: "  # how one hint of every launcher begins

Writer = Callable[[LaunchRequest], dict[str, LaunchFile]]
Reader = Callable[[Mapping[str, str]], Order]


@dataclass(frozen=True, eq=False)
class Launcher:
    """A launcher: what it can express, and its files, both ways.

    Parameters
    ----------
    freedom
        How much of a placement it obeys.
    hints
        Lines for a person: how to start, and what would silently reorder.
    writer, reader
        Used through `write` and `read`.
    explains
        What a symptom means with this launcher and what to do, in its own terms; `{host}` is a host that shows it.
    settings
        Keys of `--set` that its files take.
    checks_itself
        The writer refuses what the launcher cannot make, as it may make more than `freedom` where it knows the job.
    by_table
        `freedom` holds as a program on each host looks up its ranks in the plan's table: the rank shim or its like.
    shim
        How to start the program where a plan is beyond `freedom`, so that processes take their ranks from the plan;
        "" where that is of no use.
    """

    name: str
    freedom: Freedom
    description: str
    hints: tuple[str, ...]
    writer: Writer
    reader: Reader
    explains: Mapping[Symptom, str] = field(default_factory=dict)
    settings: tuple[str, ...] = USUAL_SETTINGS
    checks_itself: bool = False
    by_table: bool = False
    shim: str = ""

    @property
    def expresses(self) -> str:
        """What it can make, for people."""
        if self.by_table:
            return f"{self.freedom.words}, through the plan's table of hosts"
        return self.freedom.words + ("; any rank on any GPU through the shim" if self.shim else "")

    @property
    def reorders(self) -> str:
        """What would silently reorder ranks, as the hints say it."""
        return next(hint.partition(": ")[2] for hint in self.hints if hint.startswith(_REORDERS))

    def write(self, request: LaunchRequest) -> dict[str, LaunchFile]:
        """Files by name, to be put into one folder.

        Raises
        ------
        InfeasibleError
            The launcher cannot make this placement; names the first ranks.
        """
        if not self.checks_itself and not request.shim:
            check_expressible(request.placement, self.freedom, self.name, self.shim)
        return self.writer(request)

    def read(self, files: Mapping[str, str]) -> Order:
        """Where each rank will really run when the launcher is started with these files (name -> text).

        Raises
        ------
        InputError
            A file is missing or broken, or two of them contradict each other.
        """
        return self.reader(files)


def need(files: Mapping[str, str], name: str) -> str:
    """Text of a file, or InputError when it is not there."""
    if name not in files:
        raise InputError(f"{name} is missing among the launch files", hint="write them again with topoplan export")
    return files[name]
