"""The one list of launchers."""

from __future__ import annotations

from collections.abc import Iterable

from topoplan.launchers import (
    accelerate,
    deepspeed,
    devicemesh,
    dlrover,
    intelmpi,
    kubernetes,
    megatron,
    mpich,
    openmpi,
    rankmap,
    ray,
    shim,
    slurm,
    torchrun,
)
from topoplan.launchers.base import Launcher
from topoplan.model.capability import Capability, Freedom
from topoplan.names import pick

LAUNCHERS: dict[str, Launcher] = {
    launcher.name: launcher
    for launcher in (
        openmpi.LAUNCHER,
        mpich.LAUNCHER,
        intelmpi.LAUNCHER,
        torchrun.LAUNCHER,
        slurm.LAUNCHER,
        deepspeed.LAUNCHER,
        accelerate.LAUNCHER,
        megatron.LAUNCHER,
        ray.LAUNCHER,
        dlrover.LAUNCHER,
        devicemesh.LAUNCHER,
        *kubernetes.LAUNCHERS,
        rankmap.LAUNCHER,
        shim.LAUNCHER,
    )
}
DEFAULT_LAUNCHERS = ("openmpi", "torchrun", "slurm", "rankmap")


def get_launcher(name: str) -> Launcher:
    """The launcher of that name.

    Raises
    ------
    InputError
        There is none; the hint names the likeliest.
    """
    return pick("launcher", name, LAUNCHERS)


def capability(names: Iterable[str]) -> Capability:
    """What all the named launchers can express together."""
    launchers = [get_launcher(name) for name in dict.fromkeys(names)]
    freedom = min((launcher.freedom for launcher in launchers), default=Freedom.RANKS)
    return Capability(freedom, tuple(launcher.name for launcher in launchers))


def settings_of(names: Iterable[str]) -> tuple[str, ...]:
    """Keys of `--set` that at least one of the named launchers takes."""
    return tuple(dict.fromkeys(key for name in names for key in get_launcher(name).settings))
