"""What a file tells of the inside of a host -> a host type: NICs chosen and paired, gaps filled and said."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric, Host, HostType, IntArray, Island, Nic
from topoplan.names import natural_key
from topoplan.topologies.hosts.devices import GIGABIT, Generation, is_rdma, is_virtual
from topoplan.topologies.hosts.near import Path, nearest, pair
from topoplan.topologies.hosts.nvlink import Joined
from topoplan.topologies.reading import ReadOptions, fabric_name
from topoplan.units import format_bandwidth

MAX_GPUS, MAX_NICS = 128, 256  # in one host; assumed: eight times the most known (16 GPUs, 32 EFA adapters)
MAX_LABEL = 1023  # of a rail or plane; the Fabric file allows no higher one
WHOLE_BOARD = 8  # GPUs from which on a host without word of NVLink is taken for a board with NVLink switches
LINK_BYTES_PER_S = 25e9  # a link of NVLink 2 to 4 (see devices.py), where the file does not say what the GPUs are
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class FoundNic:
    """A NIC as a file shows it.

    Parameters
    ----------
    bandwidth_bytes_per_s
        As the file says, 0 where it does not.
    likely_bytes_per_s
        Of the adapter's model, or of adapters that sit in such slots; 0 when nothing is known.
    divides
        Whether several NICs of one GPU share the likely speed, it being that of a slot.
    rail, plane
        As the file says, -1 where it does not.
    """

    name: str = ""
    bandwidth_bytes_per_s: float = 0.0
    likely_bytes_per_s: float = 0.0
    divides: bool = False
    rail: int = -1
    plane: int = -1


@dataclass(frozen=True, eq=False)
class HostParts:
    """A host as a file shows it.

    Parameters
    ----------
    nics
        In the order of their numbers.
    path, hops
        [gpus, nics] int64 `near.Path` and PCIe hops of each pair.
    joined
        NVLink domains; None where the file says nothing of NVLink.
    generation
        What the GPUs are, where the file says.
    switches
        PCIe switch or NUMA node of each GPU, where the file says.
    slices
        Places that each physical GPU is cut into; () for whole ones.
    scale_up_bytes_per_s
        NVLink of a GPU, where the file gives a speed instead of links.
    """

    gpus: int
    nics: tuple[FoundNic, ...]
    path: IntArray
    hops: IntArray
    joined: Joined | None = None
    generation: Generation | None = None
    switches: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()
    gpu_memory_bytes: float | None = None
    scale_up_bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Notes:
    """What a reader assumed and what it could not use, in the order found."""

    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def host_fabric(
    hosts: Sequence[tuple[str, HostType]], islands: Sequence[Island], path: str, options: ReadOptions, notes: Notes
) -> Fabric:
    """Fabric of hosts and nothing between them; hosts of equal types share the first one's.

    Parameters
    ----------
    hosts
        Name and type of each.
    """
    types: list[HostType] = []
    found = []
    for name, kind in hosts:
        same = [t for t, other in enumerate(types) if dataclasses.replace(kind, name=other.name) == other]
        found.append(Host(name, same[0] if same else len(types)))
        if not same:
            types.append(kind)
    if options.routing is None:
        notes.assumed.append("routing: adaptive; the file tells what is inside a host, nothing of the network")
    return Fabric(
        fabric_name(path),
        options.routing or "adaptive",
        tuple(types),
        tuple(found),
        islands=tuple(islands),
        assumed=tuple(dict.fromkeys(notes.assumed)),
        warnings=tuple(dict.fromkeys(notes.warnings)),
    )


def check_size(gpus: int, nics: int, path: str) -> None:
    """InputError for a host without GPUs, or with more GPUs or NICs than any host has."""
    if not gpus:
        raise InputError(
            "the file shows no GPU",
            place=Place(path),
            hint="write it on a host with GPUs, as a user who can see them (in a container: with the GPUs passed in)",
        )
    if gpus > MAX_GPUS or nics > MAX_NICS:
        message = f"{gpus} GPUs and {nics} NICs are more than one host has ({MAX_GPUS} and {MAX_NICS} are taken)"
        raise InputError(message, place=Place(path))


def host_type(parts: HostParts, name: str, options: ReadOptions, notes: Notes) -> HostType:
    """Host type of `parts`: back-end NICs beside their GPUs, the others apart, and what is missing assumed."""
    known = options.host_type
    if known is not None and known.gpus != parts.gpus:
        notes.warnings.append(f"the file shows {parts.gpus} GPUs, {known.name} has {known.gpus}: the file is right")
    kept = _back_end(parts, notes)
    served = _serve(parts, kept, notes)
    used = [n for n in kept if served[n]]
    domains, size, scale_up = _scale_up(parts, known, notes)
    if not used:
        notes.warnings.append(f"host type {name} has no NICs, so its hosts reach no other host")
    return HostType(
        name,
        parts.gpus,
        _nics(parts, used, served, known, notes),
        size,
        scale_up,
        gpu_memory_bytes=parts.gpu_memory_bytes or (known.gpu_memory_bytes if known else None),
        flops_per_s=known.flops_per_s if known else None,
        speed=known.speed if known else 1.0,
        domains=domains,
        switches=parts.switches,
        slices=parts.slices,
        other_nics=tuple(_other(parts, n) for n in range(len(parts.nics)) if n not in used),
    )


# ---- which NICs --------------------------------------------------------------------------------------------------


def _back_end(parts: HostParts, notes: Notes) -> list[int]:
    """NICs that ranks talk over: RDMA devices before plain Ethernet, those near GPUs, and none far slower."""
    kept = list(range(len(parts.nics)))
    made = [n for n in kept if is_virtual(parts.nics[n].name)]
    kept = _without(parts, kept, made, "they are interfaces of software", notes)
    plain = [n for n in kept if parts.nics[n].name and not is_rdma(parts.nics[n].name)]
    if len(plain) < len(kept):
        kept = _without(parts, kept, plain, "others are RDMA devices and these are not", notes)
    if kept:
        near = nearest(parts.path[:, kept])
        far = [n for n, is_near in zip(kept, near, strict=True) if not is_near]
        kept = _without(parts, kept, far, "every GPU has a nearer one, so they belong to storage or front-end", notes)
    speeds = [parts.nics[n].bandwidth_bytes_per_s or parts.nics[n].likely_bytes_per_s for n in kept]
    if kept and min(speeds) > 0:
        usual = max(Counter(speeds).items(), key=lambda item: (item[1] * item[0], item[0]))[0]
        slow = [n for n, speed in zip(kept, speeds, strict=True) if speed < usual / 2]
        kept = _without(parts, kept, slow, f"they are far slower than the others' {format_bandwidth(usual)}", notes)
    return kept


def _without(parts: HostParts, kept: list[int], out: list[int], why: str, notes: Notes) -> list[int]:
    if out:
        names = ", ".join(parts.nics[n].name or f"number {n}" for n in out[:8]) + (" ..." if len(out) > 8 else "")
        notes.warnings.append(f"{len(out)} NICs left out of the back-end network ({names}): {why}")
    return [n for n in kept if n not in out]


def _serve(parts: HostParts, kept: list[int], notes: Notes) -> dict[int, tuple[int, ...]]:
    """GPUs of each kept NIC."""
    if not kept:
        return {}
    path, hops = parts.path[:, kept], parts.hops[:, kept]
    served = dict(zip(kept, pair(path, hops), strict=True))
    idle = [n for n in kept if not served[n]]
    _without(parts, kept, idle, "no GPU of any host has so many, so they look like virtual functions", notes)
    if path.min() >= Path.NODE:
        notes.warnings.append(
            f"no NIC is nearer to any GPU than {Path(int(path.min())).name}: these may serve storage alone, or a "
            "virtual machine hides the PCIe switches"
        )
    if len(kept) > 1 and (path == path[:1, :1]).all():
        notes.assumed.append(
            f"which NIC serves which GPU: in order, as all paths between them are alike ({Path(int(path[0, 0])).name})"
        )
    if len(kept) < parts.gpus:
        count = "one NIC" if len(kept) == 1 else f"{len(kept)} NICs, as evenly as the nearest of each allow"
        notes.assumed.append(f"{parts.gpus} GPUs share {count}")
    return served


def _other(parts: HostParts, n: int) -> Nic:
    nic = parts.nics[n]
    network = "storage or front-end" if is_rdma(nic.name) or not nic.name else "front-end"
    gpu = int(parts.path[:, n].argmin())
    speed = nic.bandwidth_bytes_per_s or nic.likely_bytes_per_s
    return Nic(0, speed, gpu, nic.name if _SAFE.fullmatch(nic.name) else "", network=network)


# ---- what they are -----------------------------------------------------------------------------------------------


def _nics(
    parts: HostParts, used: list[int], served: dict[int, tuple[int, ...]], known: HostType | None, notes: Notes
) -> tuple[Nic, ...]:
    owned = Counter(served[n][0] for n in used)
    own = max(owned.values(), default=1) if len(set(owned.values())) == 1 else 1
    if len(owned) == parts.gpus and own * parts.gpus != len(used):
        notes.warnings.append(
            f"{len(used)} NICs do not go round {parts.gpus} GPUs: some may be for storage, which this file cannot tell"
        )
    unsafe = [n for n in used if parts.nics[n].name and not _SAFE.fullmatch(parts.nics[n].name)]
    if unsafe:
        notes.warnings.append(f"{len(unsafe)} NICs have names that are not safe in launch files: left nameless")
    rails, planes = _rails(parts, used, served, notes), _planes(parts, used, notes)
    speeds = [_speed(parts, n, own, known, notes) for n in used]
    return tuple(
        Nic(rail, speed, served[n][0], "" if n in unsafe else parts.nics[n].name, served[n][1:], plane)
        for n, rail, speed, plane in zip(used, rails, speeds, planes, strict=True)
    )


def _speed(parts: HostParts, n: int, of_gpu: int, known: HostType | None, notes: Notes) -> float:
    nic = parts.nics[n]
    if nic.bandwidth_bytes_per_s > 0:
        return nic.bandwidth_bytes_per_s
    if known is not None and known.nics:
        speed, why = known.nics[0].bandwidth_bytes_per_s, f"as of {known.name}, which the user named"
    elif nic.likely_bytes_per_s > 0 and nic.divides:
        speed, why = nic.likely_bytes_per_s / of_gpu, "what adapters in PCIe slots of that speed have"
        if of_gpu > 1:
            why += f", shared by the {of_gpu} NICs of a GPU"
    elif nic.likely_bytes_per_s > 0:
        speed, why = nic.likely_bytes_per_s, "by the adapter's PCI identifier"
    elif parts.generation is not None:
        speed, why = parts.generation.nic_bytes_per_s / of_gpu, "as in the maker's own hosts with such GPUs"
    else:
        speed, why = 100 * GIGABIT, "for want of any hint"
    notes.assumed.append(f"bandwidth of NICs: {format_bandwidth(speed)} each, {why}")
    return speed


def _rails(parts: HostParts, used: list[int], served: dict[int, tuple[int, ...]], notes: Notes) -> list[int]:
    """Rails as the file has them; else NICs of one GPU share a rail, and rails follow the NICs' own order."""
    told = [parts.nics[n].rail for n in used]
    if used and all(0 <= rail <= MAX_LABEL for rail in told):
        return told
    first: dict[int, int] = {}
    for n in sorted(used, key=lambda n: (natural_key(parts.nics[n].name), n)):
        first.setdefault(served[n][0], len(first))
    if len(used) > 1:
        notes.assumed.append("rails of NICs: in the order of their device names, those of one GPU on the same rail")
    return [first[served[n][0]] for n in used]


def _planes(parts: HostParts, used: list[int], notes: Notes) -> list[int]:
    planes = [max(parts.nics[n].plane, 0) for n in used]
    if max(planes, default=0) > MAX_LABEL:
        notes.warnings.append("planes with numbers that no network has are ignored")
        return [0] * len(used)
    return planes


# ---- NVLink ------------------------------------------------------------------------------------------------------


def _scale_up(parts: HostParts, known: HostType | None, notes: Notes) -> tuple[tuple[int, ...], int, float]:
    """Domains, GPUs of the largest, and bytes/s of one GPU."""
    joined = parts.joined
    if joined is None:
        return _assumed_scale_up(parts, known, notes)
    if joined.size == 1:
        return (), 1, 0.0
    if joined.unequal:
        notes.warnings.append(
            "links do not join all GPUs of a domain alike; its bandwidth is that of the GPU with the fewest"
        )
    left = _left_out(joined)
    if left:
        notes.warnings.append(
            f"NVLink joins {joined.size} of the {parts.gpus} GPUs, but not {left}: unless the host is built so, "
            "links or Fabric Manager are down"
        )
    if known is not None and known.scale_up_gpus == joined.size and known.scale_up_bandwidth_bytes_per_s > 0:
        notes.assumed.append(f"NVLink bandwidth of a GPU: that of {known.name}, which the user named")
        return joined.domains, joined.size, known.scale_up_bandwidth_bytes_per_s
    if parts.scale_up_bytes_per_s > 0:
        return joined.domains, joined.size, parts.scale_up_bytes_per_s
    generation = parts.generation
    speed = joined.links * (generation.link_bytes_per_s if generation else LINK_BYTES_PER_S)
    title = f"{generation.title}, nominal" if generation else "NVLink 2 to 4, as the file does not name the GPUs"
    total, each = (format_bandwidth(value, bits=False) for value in (speed, speed / joined.links))
    notes.assumed.append(
        f"scale-up bandwidth of a GPU: {total} each direction, {joined.links} links of {each} ({title})"
    )
    return joined.domains, joined.size, speed


def _left_out(joined: Joined) -> str:
    """GPUs in smaller domains than the largest, for people; "" where all domains are alike."""
    sizes = Counter(joined.domains)
    out = [gpu for gpu, domain in enumerate(joined.domains) if sizes[domain] < joined.size]
    return ", ".join(f"GPU {gpu}" for gpu in out[:8]) + (" ..." if len(out) > 8 else "")


def _assumed_scale_up(parts: HostParts, known: HostType | None, notes: Notes) -> tuple[tuple[int, ...], int, float]:
    if known is not None and known.scale_up_gpus <= parts.gpus:
        notes.assumed.append(f"NVLink inside the host: that of {known.name}, which the user named")
        return (), known.scale_up_gpus, known.scale_up_bandwidth_bytes_per_s
    hint = "the file does not tell (give --host-type if not so)"
    if parts.gpus < WHOLE_BOARD or parts.slices:
        if parts.gpus > 1:
            notes.assumed.append(f"no NVLink between GPUs: {hint}")
        return (), 1, 0.0
    generation = parts.generation
    speed = generation.links * generation.link_bytes_per_s if generation else 12 * LINK_BYTES_PER_S
    title = generation.title if generation else "NVLink 3"
    notes.assumed.append(
        f"NVLink joins all {parts.gpus} GPUs at {format_bandwidth(speed, bits=False)} each, as {title} does: {hint}"
    )
    return (), parts.gpus, speed


def no_paths(gpus: int) -> tuple[IntArray, IntArray]:
    """[gpus, 0] int64 path and hops of a host without NICs."""
    return np.zeros((gpus, 0), np.int64), np.zeros((gpus, 0), np.int64)
