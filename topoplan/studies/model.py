"""What a study is: variants of fabrics and jobs, and the scenarios that their combinations make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topoplan.model.fabric import Fabric
from topoplan.model.job import Job

Value = str | int | float | bool


@dataclass(frozen=True, eq=False)
class FabricVariant:
    """A fabric of the study, or why there is none.

    Parameters
    ----------
    name
        Of the item that it is a variant of.
    varied
        Value of each varied parameter.
    digest
        SHA-256 of its canonical text, or of `problem`.
    problem
        Why this combination makes no fabric; "" where it does.
    """

    name: str
    varied: Mapping[str, Value]
    fabric: Fabric | None
    digest: str
    problem: str = ""


@dataclass(frozen=True, eq=False)
class JobVariant:
    """A job of the study, or why there is none; fields as `FabricVariant`."""

    name: str
    varied: Mapping[str, Value]
    job: Job | None
    digest: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is broken.

    Parameters
    ----------
    kind
        none, host, uplink, or the name of a tier.
    what
        Names of what is broken, folded; "" for nothing.
    hosts
        Indices of lost hosts.
    uplinks
        (group, rail) of each lost link; a pair stands as often as links of it are lost.
    count
        How many hosts, groups or links.
    """

    kind: str = "none"
    what: str = ""
    hosts: tuple[int, ...] = ()
    uplinks: tuple[tuple[int, int], ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class FailureSpec:
    """Failures that a study asks for: each of a kind, or `counts` of them at random, `draws` times."""

    kind: str = "none"
    counts: tuple[int, ...] = ()
    draws: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Study:
    """A study, its variants made; see `topoplan schema study` for what each field means."""

    name: str
    about: str
    question: str
    tolerance: float
    fabrics: tuple[FabricVariant, ...]
    jobs: tuple[JobVariant, ...]
    orders: tuple[str, ...]
    failures: tuple[FailureSpec, ...]
    after: tuple[str, ...]
    search: str = "quick"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Scenario:
    """One line of the table.

    Parameters
    ----------
    key
        Hash of all that decides the result; the same scenario has the same key in every study.
    order
        linear, strings, random or plan: how hosts are ordered before the failure.
    after
        What is done after the failure: keep or replan; "" without one.
    """

    key: str
    fabric: FabricVariant
    job: JobVariant
    order: str
    search: str
    seed: int
    failure: Failure = field(default_factory=Failure)
    after: str = ""
