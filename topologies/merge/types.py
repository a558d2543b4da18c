"""Host types of several files joined: GPUs from the file that looked inside, NICs and rails from the cables.

NICs of two files are matched by GUID, else by device name. Only where neither is known are they taken in order, and
that is said: the order of devices and the order of GPUs often differ.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from topoplan.errors import InputError
from topoplan.model.fabric import Attachment, Host, HostType, Nic
from topoplan.topologies.merge.names import GUID_KIND, Machine, guid
from topoplan.topologies.merge.parts import GPUS, NIC_SPEED, RAILS, SCALE_UP, Part
from topoplan.topologies.reading import HOST, ISLANDS
from topoplan.units import format_bandwidth

# How much a part knows of the inside of a host, the most first.
LOOKED, TYPE, SAID, CABLES, NOTHING = 4, 3, 2, 1, 0
_SAME = 0.01  # bandwidths that differ by less are one figure, rounded in two ways


def standing(part: Part) -> int:
    """How much a part knows of the inside of its hosts."""
    if part.describes_hosts:
        return TYPE if part.generic else LOOKED
    if part.knows(GPUS):
        return SAID
    return CABLES if HOST in part.tells else NOTHING


@dataclass(frozen=True, slots=True)
class _View:
    """A host type as a part gives it; `guids` are those of its NICs for one host, () when unknown."""

    part: int
    index: int
    guids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """A merged host type.

    Parameters
    ----------
    origin
        (part, index in its fabric) of the type that GPUs and name come from.
    nic_of
        NIC index in the network file's type -> index in `kind.nics`; those missing are on no GPU network.
    """

    kind: HostType
    origin: tuple[int, int]
    nic_of: Mapping[int, int]

    def attach(self, items: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """`items` of the network file with the merged type's NIC indices."""
        found = [dataclasses.replace(item, nic=self.nic_of[item.nic]) for item in items if item.nic in self.nic_of]
        return tuple(sorted(found, key=lambda item: (item.nic, item.plane, item.group)))


@dataclass(slots=True)
class Notes:
    """Disagreements: text with {hosts} -> the hosts it is about; and what each subject was decided by."""

    found: dict[str, list[str]] = field(default_factory=dict)
    assumed: dict[str, list[str]] = field(default_factory=dict)
    deciders: dict[str, set[int]] = field(default_factory=dict)

    def decide(self, subject: str, part: int) -> None:
        """Remember that values of a subject come from a part."""
        self.deciders.setdefault(subject, set()).add(part)


class TypeJoiner:
    """Joins what the parts say of each machine's inside; equal sayings are joined once.

    Parameters
    ----------
    network
        For each machine, the part that places it in the network, -1 for none.
    rails_matter
        For each machine, whether its NICs reach different switches there.
    fill
        Whether hosts into which no file looked may be taken to be like those into which one did.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        machines: Sequence[Machine],
        network: Sequence[int],
        rails_matter: Sequence[bool],
        *,
        fill: bool,
    ) -> None:
        self.notes = Notes()
        self._parts = parts
        self._standing = [standing(part) for part in parts]
        self._looked = [self._views(machine) for machine in machines]
        donor = self._donor(machines) if fill else None
        self.joined: list[Joined] = []
        cache: dict[object, tuple[Joined, list[str], list[str]]] = {}
        for m, machine in enumerate(machines):
            views = self._looked[m]
            filled = donor is not None and self._standing[views[0].part] <= CABLES
            if filled and donor is not None:
                views = (donor, *views)
            key = (views, network[m], rails_matter[m])
            if key not in cache:
                cache[key] = _Join(
                    parts, self._standing, views, network[m], rails_matter[m], self.notes, machine.name
                ).result()
            joined, warnings, assumed = cache[key]
            for text in warnings:
                self.notes.found.setdefault(text, []).append(machine.name)
            for text in assumed:
                self.notes.assumed.setdefault(text, []).append(machine.name)
            if filled and donor is not None:
                text = f"what is inside {{hosts}}: the same as in the hosts of {parts[donor.part].source}"
                self.notes.assumed.setdefault(text, []).append(machine.name)
            self.joined.append(joined)

    def _views(self, machine: Machine) -> tuple[_View, ...]:
        found = [
            _View(p, self._parts[p].fabric.hosts[h].type, _guids(self._parts[p].fabric.hosts[h]))
            for p, h in machine.members.items()
        ]
        return tuple(sorted(found, key=lambda view: (-self._standing[view.part], *self._preference(view))))

    def _preference(self, view: _View) -> tuple[object, ...]:
        part = self._parts[view.part]
        kind = part.fabric.host_types[view.index]
        racks = ISLANDS in part.tells  # who knows of racks guesses better what stands in them
        return (not part.knows(NIC_SPEED), not racks, not part.knows(SCALE_UP), -len(kind.nics), view.part)

    def _donor(self, machines: Sequence[Machine]) -> _View | None:
        """The one type that all hosts have into which a file looked; None when they differ."""
        seen: dict[HostType, _View] = {}
        for views in self._looked:
            first = views[0]
            if self._standing[first.part] == LOOKED:
                kind = self._parts[first.part].fabric.host_types[first.index]
                seen.setdefault(dataclasses.replace(kind, name=""), dataclasses.replace(first, guids=()))
        return next(iter(seen.values())) if len(seen) == 1 else None


def _guids(host: Host) -> tuple[str, ...]:
    """Texts "index or device=GUID" of each adapter that the aliases name."""
    found = []
    for kind, alias in host.aliases:
        match = GUID_KIND.fullmatch(kind)
        if match and match[1] and (digits := guid(alias)):
            found.append(f"{match[1]}={digits}")
    return tuple(sorted(found))


class _Join:
    """Joins the views of one combination of types."""

    def __init__(
        self,
        parts: Sequence[Part],
        standing: Sequence[int],
        views: Sequence[_View],
        network: int,
        rails_matter: bool,
        notes: Notes,
        example: str,
    ) -> None:
        self._example = example  # a host of this combination, for messages
        self._parts, self._standing, self._rails_matter, self._notes = parts, standing, rails_matter, notes
        self._views = views
        self._base = views[0]
        cabled = [view for view in views if view.part == network]
        self._cabled = cabled[0] if cabled else None
        self._scale_up = views[0].part  # part that its bandwidth comes from
        self._warnings: list[str] = []
        self._assumed: list[str] = []

    def result(self) -> tuple[Joined, list[str], list[str]]:
        """Return the merged type, warnings and assumptions about it."""
        base = self._base
        kind = self._kind(base)
        nics = list(kind.nics)
        known = [self._parts[base.part].knows(NIC_SPEED)] * len(nics)
        for view in self._views[1:]:
            if self._standing[view.part] >= SAID:
                self._check_gpus(view)
            if self._standing[view.part] >= TYPE:
                self._refine(nics, known, view)
            kind = self._fill(kind, view)
        self._notes.decide(GPUS, base.part)
        self._notes.decide(SCALE_UP, self._scale_up)
        nic_of: dict[int, int] = {n: n for n in range(len(nics))}
        cabled = self._cabled
        rails_of = base
        if cabled is not None and cabled != base:
            named = self._rails_matter and any(nic.name for nic in self._kind(cabled).nics)
            if named or HOST in self._parts[cabled.part].tells:
                nics, nic_of = self._with_cables(nics, known, cabled)
                rails_of = cabled
            else:
                nic_of = {n: n for n in range(min(len(nics), len(self._kind(cabled).nics)))}
        self._notes.decide(RAILS, rails_of.part)
        if self._parts[base.part].knows(NIC_SPEED) or not all(known):
            self._notes.decide(NIC_SPEED, base.part)
        return Joined(dataclasses.replace(kind, nics=tuple(nics)), (base.part, base.index), nic_of), *self._said()

    def _said(self) -> tuple[list[str], list[str]]:
        return list(dict.fromkeys(self._warnings)), list(dict.fromkeys(self._assumed))

    def _kind(self, view: _View) -> HostType:
        return self._parts[view.part].fabric.host_types[view.index]

    def _source(self, view: _View) -> str:
        return self._parts[view.part].source

    def _check_gpus(self, view: _View) -> None:
        here, there = self._kind(self._base).gpus, self._kind(view).gpus
        if here == there:
            return
        told = f"{here} GPUs in {self._source(self._base)}, {there} in {self._source(view)}"
        if self._standing[view.part] == self._standing[self._base.part] > SAID:
            raise InputError(
                f"host {self._example} has {told}",
                hint="say which hosts each file describes: FILE=node-[1-16]" if self._standing[view.part] == TYPE
                else "one of the files is of another day or another host: leave it out",
            )  # fmt: skip
        self._warnings.append(f"{{hosts}}: {told}; the first counts")

    def _fill(self, kind: HostType, view: _View) -> HostType:
        """Facts that the base only assumed or does not have, from `view`."""
        other, part = self._kind(view), self._parts[view.part]
        changes: dict[str, float] = {}
        same = other.gpus == kind.gpus
        known = self._parts[self._base.part].knows(SCALE_UP)
        if self._standing[view.part] >= SAID and same and part.knows(SCALE_UP):
            mine, theirs = kind.scale_up_bandwidth_bytes_per_s, other.scale_up_bandwidth_bytes_per_s
            if not known and theirs and kind.scale_up_gpus > 1:
                changes["scale_up_bandwidth_bytes_per_s"] = theirs
                self._scale_up = view.part
            elif known and _differ(mine, theirs) and self._standing[view.part] >= TYPE:
                self._disagree("NVLink of a GPU", self._base, mine, view, theirs, "the first counts")
        for name in ("gpu_memory_bytes", "flops_per_s"):
            if same and getattr(kind, name) is None and getattr(other, name) is not None:
                changes[name] = getattr(other, name)
        return dataclasses.replace(kind, **changes) if changes else kind  # type: ignore[arg-type]

    def _refine(self, nics: list[Nic], known: list[bool], view: _View) -> None:
        """Speeds of NICs from another file that looked into the host; a difference in their number is only said."""
        theirs = self._kind(view).nics
        knows = self._parts[view.part].knows(NIC_SPEED)
        matched, sure = self._match(nics, theirs, view)
        if len(nics) != len(theirs) and nics and theirs:
            told = f"{len(nics)} NICs in {self._source(self._base)}, {len(theirs)} in {self._source(view)}"
            self._warnings.append(f"{{hosts}}: {told}; the first counts")
        alike = len({nic.bandwidth_bytes_per_s for nic in theirs}) == 1  # then it does not matter which is which
        if knows and (sure or alike):
            for j, i in matched.items():
                self._speed(nics, known, i, view, theirs[j].bandwidth_bytes_per_s)

    def _speed(self, nics: list[Nic], known: list[bool], i: int, view: _View, speed: float) -> None:
        mine = nics[i].bandwidth_bytes_per_s
        if not known[i]:
            nics[i] = dataclasses.replace(nics[i], bandwidth_bytes_per_s=speed)
            known[i] = True
            self._notes.decide(NIC_SPEED, view.part)
        elif _differ(mine, speed):
            name = nics[i].name or f"NIC {i}"
            self._disagree(name, self._base, mine, view, speed, "the slower counts")
            nics[i] = dataclasses.replace(nics[i], bandwidth_bytes_per_s=min(mine, speed))

    def _disagree(self, what: str, a: _View, first: float, b: _View, second: float, verdict: str) -> None:
        self._warnings.append(
            f"{{hosts}}: {what} has {format_bandwidth(first)} in {self._source(a)}, "
            f"{format_bandwidth(second)} in {self._source(b)}; {verdict}"
        )

    def _match(self, nics: Sequence[Nic], theirs: Sequence[Nic], view: _View) -> tuple[dict[int, int], bool]:
        """Index there -> index here, and whether ids say so; without ids by order, and only where the counts agree."""
        for here, there in (
            (_by_guid(self._base.guids, nics), _by_guid(view.guids, theirs)),
            (_by_name(nics), _by_name(theirs)),
        ):
            found = {there[key]: here[key] for key in here.keys() & there.keys()}
            if found:
                return dict(sorted(found.items())), True
        if len(nics) == len(theirs):
            return {n: n for n in range(len(nics))}, False
        return {}, False

    def _with_cables(self, nics: list[Nic], known: list[bool], view: _View) -> tuple[list[Nic], dict[int, int]]:
        """NICs with the rails that the cables show, and network NIC -> NIC; those without a cable are left out."""
        theirs = self._kind(view).nics
        matched, sure = self._match(nics, theirs, view)
        if not matched:
            return self._cables_alone(nics, view)
        if self._rails_matter and not sure:
            self._assumed.append(
                f"which NIC of {{hosts}} reaches which switch: NIC i of {self._source(self._base)} is NIC i of "
                f"{self._source(view)}, as the files share neither GUIDs nor device names"
            )
        for j, i in matched.items():
            nics[i] = dataclasses.replace(nics[i], rail=theirs[j].rail, plane=theirs[j].plane)
            if self._parts[view.part].knows(NIC_SPEED):
                self._speed(nics, known, i, view, theirs[j].bandwidth_bytes_per_s)
        bare = sorted(set(range(len(nics))) - set(matched.values()))
        if bare:
            names = ", ".join(nics[i].name or f"NIC {i}" for i in bare)
            self._warnings.append(
                f"{{hosts}}: {names} of {self._source(self._base)}: no cable in {self._source(view)}; left out"
            )
        aside = _by_name(self._kind(self._base).other_nics)
        storage = {j for name, j in _by_name(theirs).items() if name in aside} - matched.keys()
        if storage:
            names = ", ".join(theirs[j].name for j in sorted(storage))
            self._warnings.append(
                f"{{hosts}}: {names} of {self._source(view)}: not for GPUs by {self._source(self._base)}; left out"
            )
        extra = sorted(set(range(len(theirs))) - matched.keys() - storage)
        if extra:
            names = ", ".join(theirs[j].name or f"NIC {j}" for j in extra)
            self._warnings.append(
                f"{{hosts}}: {names} of {self._source(view)}: not in {self._source(self._base)}; nearest GPU not known"
            )
        kept = [i for i in range(len(nics)) if i not in bare]
        index = {i: n for n, i in enumerate(kept)}
        gpus = self._kind(self._base).gpus
        found = [nics[i] for i in kept] + [_clipped(theirs[j], gpus) for j in extra]
        nic_of = {j: index[i] for j, i in matched.items()} | {j: len(kept) + n for n, j in enumerate(extra)}
        return found, nic_of

    def _cables_alone(self, nics: Sequence[Nic], view: _View) -> tuple[list[Nic], dict[int, int]]:
        """NICs as the cables show them, spread over the GPUs in order: nothing says which is which."""
        theirs, gpus = self._kind(view).nics, self._kind(self._base).gpus
        if nics:
            self._warnings.append(
                f"{{hosts}}: {len(nics)} NICs in {self._source(self._base)}, {len(theirs)} in {self._source(view)}, "
                "and neither GUIDs nor device names to match them; the cabled ones count"
            )
        self._assumed.append("nearest GPU of each NIC of {hosts}: in order, as no file says")
        found = [dataclasses.replace(nic, gpu=n * gpus // len(theirs), also=()) for n, nic in enumerate(theirs)]
        return found, {n: n for n in range(len(theirs))}


def _by_name(nics: Sequence[Nic]) -> dict[str, int]:
    count = Counter(nic.name for nic in nics)
    return {nic.name: n for n, nic in enumerate(nics) if nic.name and count[nic.name] == 1}


def _by_guid(guids: Sequence[str], nics: Sequence[Nic]) -> dict[str, int]:
    """GUID -> NIC; aliases name the NIC by its device or its index."""
    names = _by_name(nics)
    found = {}
    for item in guids:
        which, _, digits = item.partition("=")
        if which in names:
            found[digits] = names[which]
        elif which.isdecimal() and len(which) < 5 and int(which) < len(nics):
            found[digits] = int(which)
    return found


def _clipped(nic: Nic, gpus: int) -> Nic:
    also = tuple(gpu for gpu in nic.also if gpu < gpus)
    return dataclasses.replace(nic, gpu=min(nic.gpu, gpus - 1), also=also)


def _differ(a: float, b: float) -> bool:
    return abs(a - b) > _SAME * max(a, b)
