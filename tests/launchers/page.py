"""The table of docs/launchers.md, made from the registry: `python -m tests.launchers.page` writes it."""

from __future__ import annotations

import re

from tests.launchers.requests import variants
from tests.pages import DOCS, write_part
from topoplan.launchers import LAUNCHERS, kubernetes

PAGE = DOCS / "launchers.md"
PART = "launchers"
_PODS = (
    "CRD schemas; the pods' program run",
    "launchers/portable/test_pod.py",
)
# What runs beside the round trip, shellcheck and injections that every launcher has, and the test that does it.
VERIFIED = {launcher.name: _PODS for launcher in kubernetes.LAUNCHERS} | {
    "openmpi": ("real Open MPI 4.1 and 5.0", "lab/test_openmpi.py"),
    "mpich": ("real MPICH 4.0", "lab/test_hydra.py"),
    "intelmpi": ("real Intel MPI 2021.18", "lab/test_hydra.py"),
    "torchrun": ("real torchrun 2.13", "lab/test_torchrun.py"),
    "slurm": ("real Slurm 22.05, `plan.sbatch` too", "lab/test_slurm.py"),
    "deepspeed": ("real DeepSpeed 0.19 over pdsh", "lab/test_deepspeed.py"),
    "accelerate": ("real accelerate 1.15", "lab/test_accelerate.py"),
    "megatron": ("the groups of both of Megatron's orders", "launchers/test_megatron.py"),
    "ray": ("a stand-in for Ray (run once by hand with Ray 2.60)", "launchers/test_ray.py"),
    "dlrover": ("its sort of hosts, from its source; never run", "launchers/test_registry.py"),
    "devicemesh": ("8 processes of torch 2.13 over gloo", "launchers/test_devicemesh.py"),
    "mpijob": ("CRD schemas; the pods' program with real Open MPI", "launchers/portable/test_pod_mpi.py"),
    "rankmap": ("nothing obeys it by itself", "launchers/test_roundtrip.py"),
    "shim": ("processes; its rendezvous with real torchrun", "lab/test_rendezvous.py"),
}


# What launchers can make, in a word of the table
WORDS = {
    "any rank on any GPU": "ranks",
    "hosts in any order, and their GPUs; any rank on any GPU through the shim": "hosts",
    "any rank on any GPU, through the plan's table of hosts": "table",
}


def table() -> str:
    """What the words of the table mean, and a row for each launcher, in the order of the registry."""
    lines = [f"- {word}: {told}" for told, word in WORDS.items()]
    lines += ["", "| launcher | makes | files | reordered silently by | verified with |", "|---|---|---|---|---|"]
    for name, launcher in LAUNCHERS.items():
        cells = (f"`{name}`", WORDS[launcher.expresses], files_of(name), launcher.reorders, VERIFIED[name][0])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def files_of(name: str) -> str:
    """Files that plans of a job and of whole hosts get; those of single hosts as one."""
    asked = dict(variants(name))
    files = [file for variant in ("job", "many") for file in LAUNCHERS[name].write(asked[variant])]
    alike = [re.sub(r"^(node-)\d+-.+(\.sh)$|^(machine-).+(\.yaml)$", _each, file) for file in files]
    return ", ".join(f"`{file}`" for file in dict.fromkeys(alike))


def _each(match: re.Match[str]) -> str:
    return "node-RANK-HOST.sh" if match[1] else "machine-HOST.yaml"


if __name__ == "__main__":
    write_part(PAGE, PART, table())
