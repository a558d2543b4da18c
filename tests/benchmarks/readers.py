"""Time and memory of the readers of cables on large fabrics: ``python -m tests.benchmarks.readers``.

Each case runs in a process of its own, so that its peak memory is its own; the text is made before the clock starts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from topoplan.model.fabric import Fabric
from topoplan.topologies import formats

GIB = 2**30
LIMITS = {"ibnetdiscover": (5.0, 1 * GIB), "edges": (2.0, None)}  # seconds and bytes that the project promises


def clos_cables(hosts: int, rails: int, per_leaf: int, spines: int, cores: int) -> Iterator[tuple[str, str]]:
    """Cables of a rail-aligned fat tree: pods of `spines` spines over two leaf groups, `cores` cores over each."""
    groups = -(-hosts // per_leaf)
    for host in range(hosts):
        for rail in range(rails):
            yield f"node-{host:05d} mlx5_{rail}", f"leaf-{host // per_leaf}-{rail}"
    for group in range(groups):
        for rail in range(rails):
            for spine in range(spines):
                yield f"leaf-{group}-{rail}", f"spine-{group // 2}-{spine}"
    for pod in range(-(-groups // 2)):
        for spine in range(spines):
            for core in range(cores):
                yield f"spine-{pod}-{spine}", f"core-{spine}-{core}"


def ibnetdiscover_text(cables: Iterator[tuple[str, str]]) -> str:
    """Print `cables` as ibnetdiscover does; names with a space are channel adapters."""
    number: dict[str, int] = {}
    ends: dict[str, list[tuple[str, int]]] = {}
    for a, b in cables:
        for name in (a, b):
            number.setdefault(name, len(number) + 1)
            ends.setdefault(name, [])
        ends[a].append((b, len(ends[b]) + 1))
        ends[b].append((a, len(ends[a])))
    guid = {name: f"{'H' if ' ' in name else 'S'}-{n:016x}" for name, n in number.items()}
    return "\n".join(_record(name, peers, guid) for name, peers in ends.items())


def _record(name: str, peers: list[tuple[str, int]], guid: dict[str, str]) -> str:
    own = guid[name]
    lines = ["vendid=0x2c9", "devid=0xd2f2", f"sysimgguid=0x{own[2:]}"]
    if own[0] == "S":
        lines += [f"switchguid=0x{own[2:]}({own[2:]})", f'Switch\t{len(peers)} "{own}"\t\t# "{name}" enhanced port 0']
        lines += [
            f'[{n}]\t"{guid[peer]}"[{port}]({guid[peer][2:]}) \t\t# "{peer}" lid 7 4xNDR'
            for n, (peer, port) in enumerate(peers, 1)
        ]
    else:
        lines += [f"caguid=0x{own[2:]}", f'Ca\t{len(peers)} "{own}"\t\t# "{name}"']
        lines += [
            f'[{n}]({own[2:]}) \t"{guid[peer]}"[{port}]\t\t# lid 5 lmc 0 "{peer}" lid 9 4xNDR'
            for n, (peer, port) in enumerate(peers, 1)
        ]
    return "\n".join([*lines, ""])


def edges_text(cables: Iterator[tuple[str, str]]) -> str:
    """Table of `cables` with ports and speeds."""
    ports: dict[str, int] = {}
    rows = ["side_a_device,side_a_name,side_b_device,side_b_name,speed"]
    for a, b in cables:
        host, _, nic = a.partition(" ")
        ports[b] = ports.get(b, 0) + 1
        if not nic:
            ports[a] = ports.get(a, 0) + 1
        rows.append(f"{host},{nic or f'swp{ports[a]}'},{b},swp{ports[b]},400G")
    return "\n".join(rows)


# 16,384 GPUs: 2,048 hosts of 8 rails under 64 leaf groups of 32; cables: 16,384 + 512 x 32 + 1,024 x 64.
CABLES = {"hosts": 2048, "rails": 8, "per_leaf": 32, "spines": 32, "cores": 64}
TEXTS: dict[str, Callable[[Iterator[tuple[str, str]]], str]] = {
    "ibnetdiscover": ibnetdiscover_text,
    "edges": edges_text,
}


def measure(name: str) -> dict[str, float]:
    """Seconds to read (and of this process alone, on a machine that others use), peak memory, and what was read."""
    text = TEXTS[name](clos_cables(**CABLES))
    start, cpu = time.perf_counter(), time.process_time()
    fabric: Fabric = formats.read(text, name=name)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "text_mib": round(len(text) / 2**20, 1),
        "hosts": len(fabric.hosts),
        "gpus": fabric.gpus,
        "groups": len(fabric.groups),
        "cables": sum(link.count for link in fabric.links)
        + sum(len(fabric.host_types[h.type].nics) for h in fabric.hosts),
    }


def main() -> None:
    """Measure one case, or each in a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    for name, (seconds, memory) in LIMITS.items():
        run = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.readers", name], check=True, capture_output=True, text=True
        )
        limit = f"promised: {seconds} s" + (f", {memory // 2**20} MiB" if memory else "")
        print(f"{name:14} {run.stdout.strip()}  ({limit})")


if __name__ == "__main__":
    main()
