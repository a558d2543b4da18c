"""What a person may set in launch files: the keys of `--set KEY=VALUE`, each checked here and nowhere else.

A key is a field of `LaunchRequest` of the same name, so that writers find it typed. Values end up in shell, YAML, JSON
and Python; writers quote them, and whatever could not be quoted everywhere is refused here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from topoplan.errors import InputError
from topoplan.names import closest

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes wants namespaces
# Registry, path, tag and digest as the distribution project's reference grammar has them, loosely.
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,499}")
_OBJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")  # queues and schedulers
# Kubernetes: qualified names, https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_QUALIFIED = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_RESOURCE = re.compile(_QUALIFIED)
_RDMA = re.compile(rf"{_QUALIFIED}(?::[1-9][0-9]{{0,2}})?")
_TOPOLOGY = re.compile(rf"(?:required|preferred):{_QUALIFIED}|(?:hard|soft):[1-9][0-9]?")
_PINS = ("false", "true", "index")
_GANGS = ("coscheduling", "yunikorn", "koordinator")
_MPIS = ("OpenMPI", "Intel", "MPICH")  # as MPIJob's mpiImplementation
_PRECISIONS = ("no", "fp16", "bf16", "fp8")  # accelerate's own words
_MOST_CORES = 4096  # assumed: more than any host has


@dataclass(frozen=True, slots=True)
class Setting:
    """One key.

    Parameters
    ----------
    what
        For `--help`.
    parse
        Text to the value that a `LaunchRequest` takes; ValueError says what is wanted.
    """

    what: str
    parse: Callable[[str], object]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(wanted)
        return text

    return parse


def _one_of(words: Iterable[str]) -> Callable[[str], str]:
    return _matching(re.compile("|".join(map(re.escape, words))), " or ".join(words))


def _pin(text: str) -> str:
    word = _one_of(_PINS)(text)
    return "" if word == "false" else word


def _yes(text: str) -> bool:
    return _one_of(("true", "false"))(text) == "true"


def _command(text: str) -> tuple[str, ...]:
    if not _plain(text):
        raise ValueError("a command without control characters")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"a command as a shell reads it ({error})") from None
    if not words or not words[0]:
        raise ValueError("a command")
    return words


def _path(text: str) -> str:
    if not _plain(text) or not text.startswith("/"):
        raise ValueError("an absolute path, without control characters")
    return text


def _plain(text: str) -> bool:
    """Whether text is printable and can be encoded."""
    return text.isprintable()


SETTINGS: Mapping[str, Setting] = {
    "program": Setting("program and arguments to run when a script is given none", _command),
    "master_port": Setting("port of the first rank's host where ranks meet", _whole(1, 65535)),
    "cores_per_host": Setting("CPU cores to share out among a host's ranks", _whole(1, _MOST_CORES)),
    "nccl_topo_file": Setting("NCCL_TOPO_FILE of every rank: a path on the hosts", _path),
    "shim": Setting("true: each process takes its rank through the shim, so that any plan can be made", _yes),
    "mixed_precision": Setting(f"{', '.join(_PRECISIONS)}", _one_of(_PRECISIONS)),
    "namespace": Setting("Kubernetes namespace", _matching(_DNS_LABEL, "a DNS label such as team-a")),
    "image": Setting("container image", _matching(_IMAGE, "an image such as registry/name:tag")),
    "pin": Setting("true: only on nodes of the plan; index: each pod on the node of its ranks", _pin),
    "gang": Setting(f"scheduler that starts all pods or none: {', '.join(_GANGS)}", _one_of(_GANGS)),
    "queue": Setting("queue of Kueue, Volcano or YuniKorn", _matching(_OBJECT, "a queue's name")),
    "scheduler": Setting("schedulerName of the pods, where it is not the usual one", _matching(_OBJECT, "a name")),
    "topology": Setting(
        "required:LABEL or preferred:LABEL of Kueue's levels, hard:TIER or soft:TIER of Volcano",
        _matching(_TOPOLOGY, "required:LABEL, preferred:LABEL, hard:TIER or soft:TIER"),
    ),
    "gpu_resource": Setting("name of the GPU resource", _matching(_RESOURCE, "a resource such as nvidia.com/gpu")),
    "rdma": Setting("RDMA resource of a pod, none without", _matching(_RDMA, "RESOURCE or RESOURCE:COUNT")),
    "host_network": Setting("true: pods share the network of their node", _yes),
    "mpi": Setting(f"MPI of the image: {', '.join(_MPIS)}", _one_of(_MPIS)),
}


def parse_settings(texts: Iterable[str], known: Iterable[str]) -> dict[str, Any]:
    """Values by key, as keyword arguments of `LaunchRequest`.

    Parameters
    ----------
    texts
        KEY=VALUE each; the last of a key counts.
    known
        Keys that the launchers asked for take.

    Raises
    ------
    InputError
        No KEY=VALUE, a key that none of the launchers takes (the hint names the likeliest), or a value unfit for it.
    """
    usable = [key for key in SETTINGS if key in set(known)]
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text[:80]!r} is not KEY=VALUE")
        if key not in usable:
            unfit = "is not taken by this launcher" if key in SETTINGS else "is not known"
            every = f"it takes {', '.join(usable)}" if usable else "it takes none"
            raise InputError(f"--set {key[:80]!r} {unfit}", hint=f"{closest(key, usable)} {every}".strip())
        try:
            values[key] = SETTINGS[key].parse(value)
        except ValueError as error:
            raise InputError(f"--set {key}={value[:80]!r} does not fit", hint=f"give {error}") from None
    return values
