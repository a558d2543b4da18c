"""Files of all kinds of Kubernetes jobs, and their documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from topoplan.launchers import LaunchRequest, get_launcher, kubernetes, parse_settings
from topoplan.model.fabric import Fabric, Host, HostType, Nic
from topoplan.model.placement import RankPlacement

NAMES = [launcher.name for launcher in kubernetes.LAUNCHERS]
SEVERAL = ("jobset", "volcano")  # kinds with several templates


def objects_of(name: str, placement: RankPlacement, *settings: str, plan: str = "golden plan") -> list[dict[str, Any]]:
    """Documents of a launcher's file; `settings` are KEY=VALUE."""
    return list(yaml.safe_load_all(text_of(name, placement, *settings, plan=plan)))


def text_of(name: str, placement: RankPlacement, *settings: str, plan: str = "golden plan") -> str:
    values = parse_settings(settings, get_launcher(name).settings)
    ((_, made),) = get_launcher(name).write(LaunchRequest(placement, plan, **values)).items()
    return made.text


def hosts_with(gpus: Sequence[int], broken: Sequence[tuple[int, int]] = ()) -> Fabric:
    """Hosts n0, n1 ... of the given numbers of GPUs, some of which (host, GPU) are broken."""
    sizes = sorted(set(gpus))
    kinds = tuple(HostType(f"box{n}", n, (Nic(0, 5e10, 0),), n, 4.5e11) for n in sizes)
    hosts = tuple(Host(f"n{i}", sizes.index(n)) for i, n in enumerate(gpus))
    return Fabric("lab", "ecmp", kinds, hosts, unusable_gpus=frozenset(broken))
