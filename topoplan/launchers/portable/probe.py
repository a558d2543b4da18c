"""One JSON line about this process: its rank, host and local rank, and the GPUs and NICs that it sees.

Start it the way the program is started, once a rank, and give what it prints to `topoplan verify PLAN --observed FILE`.
"""

from __future__ import annotations

import glob
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

from topoplan.launchers.portable.whoami import (
    LOCAL_VARIABLES,
    RANK_VARIABLES,
    WORLD_VARIABLES,
    environment,
    first_number,
    host_names,
    started_by,
)

PROBE_FORMAT = "topoplan-probe/1"
# Open MPI 5 may miss the end of a process that ends while others are being started, and mpirun then waits for ever
# (openpmix/prrte issue 1839): 6 of 100 runs of twelve `echo` on seven hosts did, none of 120 that waited a second.
LAST_S = 1
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def machine_gpus(root: str = "/proc/driver/nvidia/gpus") -> list[str]:
    """UUIDs of the machine's NVIDIA GPUs in order of PCI address, "" where one does not tell."""
    found = []
    for path in sorted(glob.glob(root + "/*/information")):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.split(":", 1) for line in file if ":" in line]
        except OSError:
            lines = []
        found.append(next((value.strip() for key, value in lines if key.strip() == "GPU UUID"), ""))
    return found


def own_gpu(visible: Sequence[str] | None, local: int | None, uuids: Sequence[str]) -> int | None:
    """The machine's index of the GPU that this process will use: the only one it sees, or number `local` of them."""
    if visible is None:
        return local if local is not None and local < len(uuids) else None
    if len(visible) == 1:
        local = 0
    if local is None or local >= len(visible):
        return None
    device = visible[local]
    if device.isascii() and device.isdecimal():
        return int(device)
    # CUDA takes any beginning of a UUID that fits one GPU alone
    fits = [index for index, uuid in enumerate(uuids) if device and uuid.startswith(device)]
    return fits[0] if len(fits) == 1 else None


def observe(env: Mapping[str, str], sysfs: str = "/sys/class") -> dict[str, object]:
    """What is known about this process."""
    rank, rank_from = first_number(env, RANK_VARIABLES)
    world, _ = first_number(env, WORLD_VARIABLES)
    local, _ = first_number(env, LOCAL_VARIABLES)
    host, host_from = next(host_names(env))
    text = next((env[name] for name in _VISIBLE if name in env), None)
    visible = None if text is None else [word.strip() for word in text.split(",") if word.strip()]
    uuids = machine_gpus()
    return {
        "probe": PROBE_FORMAT,
        "rank": rank,
        "rank_from": rank_from,
        "world": world,
        "host": host,
        "host_from": host_from,
        "local_rank": local,
        "gpu": own_gpu(visible, local, uuids),
        "visible_gpus": visible,
        "gpus": len(uuids),
        "hcas": env.get("NCCL_IB_HCA"),
        "nics": _names(sysfs + "/infiniband"),
        "net": [name for name in _names(sysfs + "/net") if name != "lo"],
        "launcher": started_by(env),
        "pid": os.getpid(),
    }


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def main() -> int:
    """Print the line with one write, so that lines of many processes do not mix."""
    line = json.dumps(observe(environment())) + "\n"
    sys.stdout.flush()
    os.write(1, line.encode())
    if "PMIX_RANK" in os.environ:
        time.sleep(LAST_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
