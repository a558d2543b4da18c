"""An MPIJob's launcher and workers with the real Open MPI: pods on shuffled nodes, ranks where the plan has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.launchers.conftest import make_fabric
from topoplan.launchers import compare, parse_observed
from topoplan.launchers.bundle import bundle
from topoplan.launchers.table import host_rows, table_text
from topoplan.model.placement import RankPlacement

pytestmark = pytest.mark.lab

# Stands for SSH into a pod: a host name of its own, and a folder of its own in place of the pod's /tmp.
AGENT = """\
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1; shift
exec unshare -u -m sh -c 'hostname "$0"; mount --bind @FOLDER@/"${0%%.*}" @FOLDER@/state; exec sh -c "$*"' "$host" "$@"
"""
SHOW = 'echo "RANK=$RANK HOST=$TOPOPLAN_HOST LOCAL_RANK=$LOCAL_RANK CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES"'


def needs(found: bool, what: str) -> None:
    if not found and os.environ.get("CI") == "true":
        pytest.fail(f"{what} is needed in CI")
    if not found:
        pytest.skip(f"{what} is needed")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_open_mpi_starts_every_rank_on_its_node(seed: int, tmp_path: Path) -> None:
    needs(os.geteuid() == 0, "root, for namespaces of hosts")
    needs(shutil.which("mpirun") is not None, "Open MPI's mpirun")
    generator = np.random.default_rng(seed)
    fabric = make_fabric([f"node-{i}" for i in range(6)])
    placement = RankPlacement(fabric, generator.permutation(fabric.gpus))
    rows = host_rows(placement)
    agent = tmp_path / "agent"
    agent.write_text(AGENT.replace("@FOLDER@", str(tmp_path)))
    agent.chmod(0o755)
    (tmp_path / "pod.py").write_text(bundle("pod"))
    (tmp_path / "hosts.tsv").write_text(table_text(rows))
    (tmp_path / "state").mkdir()
    pods = [f"train-worker-{i}.train.ns.svc" for i in range(6)]
    (tmp_path / "hostfile").write_text("".join(f"{pod} slots=2\n" for pod in pods))  # as the operator writes it
    env = {
        "PATH": os.environ["PATH"],
        "TOPOPLAN_STATE": str(tmp_path / "state"),
        "TOPOPLAN_SSH": str(agent),
        "TOPOPLAN_HOSTFILE": str(tmp_path / "hostfile"),
        "OMPI_MCA_plm_rsh_agent": str(agent),
        "OMPI_MCA_orte_default_hostfile": str(tmp_path / "hostfile"),
        "OMPI_MCA_orte_set_default_slots": "2",
    }
    program = [sys.executable, str(tmp_path / "pod.py")]
    for pod, node in zip(pods, generator.permutation(fabric.host_names), strict=True):
        (tmp_path / pod.partition(".")[0]).mkdir()
        start = [str(agent), pod, *program, "worker", "true"]
        subprocess.run(start, env={**env, "TOPOPLAN_HOST": str(node)}, check=True, timeout=180)
    result = subprocess.run(
        [*program, "launch", "sh", "-c", SHOW], env=env, capture_output=True, text=True, check=False, timeout=100
    )
    assert result.returncode == 0, result.stderr
    order = parse_observed(result.stdout)
    assert compare(placement, order) == []
    assert [seat.host for seat in order] == [fabric.host_names[h] for h in placement.host]
