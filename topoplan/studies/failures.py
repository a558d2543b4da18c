"""Failures of a fabric, each or at random, and the fabric without what failed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.names import closest, compress
from topoplan.studies.fabrics import without_hosts, without_links
from topoplan.studies.model import Failure, FailureSpec

HOST, UPLINK, NONE = "host", "uplink", "none"
LEAF = "leaf"  # means the lowest tier where none has that name
_NAMED = 4  # targets that a failure names before it counts the rest


@dataclass(frozen=True, slots=True)
class _Target:
    """Something that can fail."""

    name: str
    hosts: tuple[int, ...] = ()
    uplinks: tuple[tuple[int, int], ...] = ()


def failures(fabric: Fabric, specs: Sequence[FailureSpec]) -> Iterator[Failure]:
    """All failures of `specs` on a fabric, in their order, targets in physical order.

    Random ones are chosen by hash, not by a generator whose stream may change with its library; a larger count of the
    same draw and seed breaks the same and more.

    Raises
    ------
    InputError
        A kind that the fabric does not have, or more failures than there are targets.
    """
    for spec in specs:
        if spec.kind == NONE:
            yield Failure()
            continue
        targets = _targets(fabric, spec.kind)
        if not spec.counts:
            yield from (_failure(spec.kind, [target]) for target in targets)
            continue
        for count in spec.counts:
            if count > len(targets):
                raise InputError(f"{count} of {len(targets)} cannot fail", hint=f"kind of failure: {spec.kind}")
            for draw in range(spec.draws):
                chosen = set(sorted(range(len(targets)), key=lambda i: _rank(spec.seed, draw, targets[i]))[:count])
                yield _failure(spec.kind, [target for i, target in enumerate(targets) if i in chosen])


def broken(fabric: Fabric, failure: Failure) -> Fabric:
    """Fabric without what failed."""
    return without_links(without_hosts(fabric, failure.hosts), failure.uplinks)


def _rank(seed: int, draw: int, target: _Target) -> bytes:
    return hashlib.sha256(f"{seed} {draw} {target.name}".encode()).digest()


def _failure(kind: str, targets: Sequence[_Target]) -> Failure:
    listed = [target.name for target in targets]
    what = compress(listed) if kind == HOST else ", ".join(listed[:_NAMED])
    if kind != HOST and len(listed) > _NAMED:
        what += f" and {len(listed) - _NAMED} more"
    return Failure(
        kind,
        what,
        tuple(h for target in targets for h in target.hosts),
        tuple(pair for target in targets for pair in target.uplinks),
        len(targets),
    )


def _targets(fabric: Fabric, kind: str) -> list[_Target]:
    up = np.flatnonzero(fabric.free_gpus)
    if kind == HOST:
        return [_Target(fabric.host_names[h], (int(h),)) for h in up]
    if kind == UPLINK:
        return [
            _Target(f"uplink {group.name}" + (f" rail {rail}" if group.rails > 1 else ""), uplinks=((k, rail),))
            for k, group in enumerate(fabric.groups)
            for rail, links in enumerate(group.uplinks)
            if links > 0
        ]
    tiers = [tier.name for tier in fabric.tiers]
    if kind == LEAF and LEAF not in tiers and tiers:
        kind = tiers[0]
    if kind not in tiers:
        known = [HOST, UPLINK, *tiers]
        raise InputError(
            f"fabric {fabric.name} has no {kind!r} that could fail",
            hint=closest(kind, known) or f"kinds: {', '.join(known)}",
        )
    group = fabric.host_ancestor[tiers.index(kind)][up]
    return [_Target(fabric.groups[k].name, tuple(int(h) for h in up[group == k])) for k in np.unique(group[group >= 0])]
