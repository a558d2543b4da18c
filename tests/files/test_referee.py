"""The referee's files are accepted as written; it stands beside the repository where it is developed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from topoplan.files.arrays import traffic_bytes
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric, read_fabric_yaml
from topoplan.files.job_yaml import read_job

REFEREE = Path(__file__).resolve().parents[3] / "shared" / "referee" / "ranks.py"

pytestmark = pytest.mark.skipif(not REFEREE.is_file(), reason="../shared/referee is not beside the repository")


@pytest.mark.parametrize(("case", "ranks"), [("v2k-frag", 2048), ("d8k-clean", 8192), ("d64k-frag3", 65536)])
def test_case_is_accepted(case: str, ranks: int, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(REFEREE), "write", case, str(tmp_path)], check=True, capture_output=True)
    fabric = read_fabric_yaml(tmp_path / "fabric.yaml")
    job = read_job(tmp_path / "job.yaml").job
    assert job.ranks == fabric.gpus == ranks
    # hosts are numbered in physical order there, which its scores rely on
    assert list(fabric.host_names) == [f"node-{h}" for h in range(ranks // 8)]
    assert set(fabric.host_gpus.tolist()) == {8}
    leaf = next(group for group in fabric.groups if group.name == "leaf-0")
    assert (leaf.rails, set(leaf.uplinks), leaf.link_bandwidth_bytes_per_s) == (8, {32.0}, 50e9)
    assert not fabric.assumed
    assert not fabric.warnings
    assert job.traffic is not None
    with np.load(tmp_path / "traffic.npz") as written:
        assert np.array_equal(job.traffic.bytes, written["bytes"])
        assert job.traffic.axes == tuple(written["axes"])
    assert format_fabric(parse_fabric(format_fabric(fabric))) == format_fabric(fabric)
    assert traffic_bytes(job.traffic) == traffic_bytes(job.traffic)
