"""Who this process is, as whatever started it says: the names of its host, its rank, its place among its neighbours."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence

# What a scheduler calls this host comes before what the host (or a pod) calls itself. NODE_NAME and its like are what
# people call spec.nodeName of Kubernetes' downward API.
HOST_VARIABLES = ("SLURMD_NODENAME", "NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME", "KUBE_NODE_NAME")
# torchrun and topoplan's own wrappers come first, then MPI, whose ranks may run inside a single task of Slurm.
RANK_VARIABLES = (
    "RANK",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "PALS_RANKID",
    "MV2_COMM_WORLD_RANK",
    "PMIX_RANK",
    "SLURM_PROCID",
    "JOB_COMPLETION_INDEX",
)
WORLD_VARIABLES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_NTASKS")
LOCAL_VARIABLES = (
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
    "PMI_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "SLURM_LOCALID",
)
# A launcher, and the beginning of a variable that it alone sets; the innermost one first.
_SIGNS = (
    ("torchrun", "TORCHELASTIC_RUN_ID"),
    ("openmpi", "OMPI_COMM_WORLD_RANK"),
    ("intelmpi", "I_MPI_"),
    ("mpich", "MPI_LOCALRANKID"),
    ("slurm", "SLURM_PROCID"),
    ("kubernetes", "KUBERNETES_SERVICE_HOST"),
)


def first_number(env: Mapping[str, str], variables: Sequence[str]) -> tuple[int | None, str]:
    """The first of the variables that holds a number, and its name; (None, "") without one."""
    for name in variables:
        text = env.get(name, "")
        if text.isascii() and text.isdecimal():
            return int(text), name
    return None, ""


def host_names(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Names of this host and where each comes from, best first; TOPOPLAN_HOST alone where it is set."""
    if env.get("TOPOPLAN_HOST"):
        yield env["TOPOPLAN_HOST"], "TOPOPLAN_HOST"
        return
    for name in HOST_VARIABLES:
        if env.get(name):
            yield env[name], name
    own = socket.gethostname()
    yield own, "hostname"
    if "." not in own:  # asks a name server, so only where nothing else helped
        full = socket.getfqdn()
        if "." in full and not full.startswith("localhost"):
            yield full, "fully qualified hostname"
    if env.get("HOST_IP"):
        yield env["HOST_IP"], "HOST_IP"


def started_by(env: Mapping[str, str]) -> str:
    """Name of the launcher that started this process, "" when it cannot be told."""
    return next((launcher for launcher, sign in _SIGNS if any(name.startswith(sign) for name in env)), "")


def environment() -> dict[str, str]:
    """A copy of the environment."""
    return dict(os.environ)
