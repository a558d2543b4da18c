"""A program with real collectives over gloo, to lose a host under: says where it runs, and fails when a rank is gone.

    gloo_ranks.py FOLDER PROBE

As `together.py`: FOLDER/first gets what the probe says, then ranks add up numbers until one is lost; where
FOLDER/finish is there at the start, FOLDER/second gets it, and they end.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import distributed


def main(folder: Path, probe: str) -> None:
    last = (folder / "finish").exists()
    distributed.init_process_group("gloo")
    world = distributed.get_world_size()
    while True:
        total = torch.tensor([distributed.get_rank()])
        distributed.all_reduce(total)
        assert int(total) == world * (world - 1) // 2
        if probe:
            with (folder / ("second" if last else "first")).open("ab") as out:
                subprocess.run([probe], stdout=out, check=True)
            probe = ""
        if last:
            break
        time.sleep(0.1)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
