"""A program whose ranks end when one of them does, as collectives make them: it says where it runs, and waits.

    together.py FOLDER PROBE

What the probe says is added to FOLDER/first once all ranks have met; then they wait for a lost rank, and fail. Where
FOLDER/finish is there at the start, it is added to FOLDER/second, and they end well. Standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path


def meet(rank: int, world: int, place: tuple[str, int]) -> list[socket.socket]:
    """Connections of rank 0 to all, of others to rank 0, once all are there."""
    if rank == 0:
        with socket.create_server(place, reuse_port=False) as server:
            met = [server.accept()[0] for _ in range(world - 1)]
        for connection in met:
            connection.sendall(b"!")
        return met
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            connection = socket.create_connection(place)
            break
        time.sleep(0.05)
    connection.recv(1)
    return [connection]


def main(folder: Path, probe: str) -> int:
    last = (folder / "finish").exists()
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    met = meet(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), place)
    with (folder / ("second" if last else "first")).open("ab") as out:
        subprocess.run([probe], stdout=out, check=True)
    if not last:
        select.select(met, [], [])  # readable when its other end is gone
    return 0 if last else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
