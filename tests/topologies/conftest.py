"""Fabrics written as ibnetdiscover would print them, and the folder of real samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


class IbNet:
    """Nodes and cables; `text` prints them in the grammar of ibnetdiscover."""

    def __init__(self) -> None:
        self.kind: dict[str, str] = {}
        self.head: dict[str, str] = {}
        self.description: dict[str, str] = {}
        self.ends: dict[str, list[tuple[str, int, str]]] = {}

    def _add(self, kind: str, letter: str, description: str, image: str) -> str:
        guid = f"{letter}-{len(self.kind) + 1:016x}"
        self.kind[guid], self.description[guid], self.ends[guid] = kind, description, []
        self.head[guid] = f"vendid=0x2c9\ndevid=0xd2f2\nsysimgguid=0x{image or guid[2:]}\n"
        return guid

    def switch(self, description: str, image: str = "") -> str:
        return self._add("Switch", "S", description, image)

    def ca(self, description: str) -> str:
        return self._add("Ca", "H", description, "")

    def router(self, description: str) -> str:
        return self._add("Rt", "R", description, "")

    def cable(self, a: str, b: str, speed: str = "4xNDR", count: int = 1) -> None:
        for _ in range(count):
            port_a, port_b = len(self.ends[a]) + 1, len(self.ends[b]) + 1 + (a == b)
            self.ends[a].append((b, port_b, speed))
            self.ends[b].append((a, port_a, speed))

    def record(self, guid: str) -> str:
        ends, description = self.ends[guid], self.description[guid]
        head = f'{self.kind[guid]}\t{max(1, len(ends))} "{guid}"\t\t# "{description}"'
        if guid[0] == "S":
            rows = [
                f'[{n}]\t"{peer}"[{port}]{"" if peer[0] == "S" else f"({peer[2:]}) "}\t\t'
                f'# "{self.description[peer]}" lid 7 {speed}'
                for n, (peer, port, speed) in enumerate(ends, 1)
            ]
            head += " enhanced port 0 lid 9 lmc 0"
        else:
            rows = [
                f'[{n}]({guid[2:]}) \t"{peer}"[{port}]\t\t# lid 5 lmc 0 "{self.description[peer]}" lid 9 {speed}'
                for n, (peer, port, speed) in enumerate(ends, 1)
            ]
        kind = {"S": "switch", "H": "ca", "R": "rt"}[guid[0]]
        return self.head[guid] + f"{kind}guid=0x{guid[2:]}({guid[2:]})\n" + "\n".join([head, *rows]) + "\n"

    def text(self) -> str:
        preamble = "#\n# Topology file: generated on Mon Jan  5 10:00:00 2026\n#\n# Initiated from node 01 port 01\n"
        return preamble + "\n" + "\n".join(map(self.record, self.kind))


def clos(
    *, pods: int = 1, groups: int = 2, rails: int = 4, hosts: int = 3, spines: int = 2, cores: int = 0, cables: int = 1
) -> IbNet:
    """A rail-aligned fat tree: `spines` switches in each pod, and `cores` above the pods."""
    net = IbNet()
    core = [net.switch(f"core{c}") for c in range(cores)]
    for pod in range(pods):
        spine = [net.switch(f"spine{pod}-{s}") for s in range(spines)]
        for c in core:
            for s in spine:
                net.cable(s, c)
        for group in range(groups):
            leaf = [net.switch(f"MF0;leaf-{pod}-{group}-r{rail}:MQM9700/U1") for rail in range(rails)]
            for switch in leaf:
                for s in spine:
                    net.cable(switch, s, count=cables)
            for host in range(hosts):
                for rail in range(rails):
                    net.cable(net.ca(f"gpu-{pod}-{group}-{host + 1} mlx5_{rail}"), leaf[rail])
    return net


@pytest.fixture(scope="session")
def ibnet() -> type[IbNet]:
    return IbNet


@pytest.fixture(scope="session")
def make_clos() -> Callable[..., IbNet]:
    return clos


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of samples beside the repository, where there is one."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "samples" / "topo"
    if not folder.is_dir():
        pytest.skip("no ../shared/samples/topo beside the repository")
    return folder
