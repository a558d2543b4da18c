"""Shape of a Fabric file: which keys and types it may hold. What they mean together is fabric_yaml's."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from topoplan import names
from topoplan.files.shapes import (
    MAX_COUNT,
    Bandwidth,
    Count,
    Flops,
    Header,
    Label,
    Links,
    Positive,
    Seconds,
    Shape,
    Size,
)

WHOLE_HOST = 0
MAX_PER_HOST = 1024  # GPUs, NICs, rails or planes
_DOMAIN = re.compile(r"(\d{1,4})(?:\s*GPUs?)?")

Few = Annotated[int, Field(ge=1, le=MAX_PER_HOST)]
Small = Annotated[int, Field(ge=0, lt=MAX_PER_HOST)]


def _domain(value: object) -> object:
    """GPUs of one scale-up domain: WHOLE_HOST or a number."""
    if value in ("host", "none"):
        return WHOLE_HOST if value == "host" else 1
    match = _DOMAIN.fullmatch(value.strip()) if isinstance(value, str) else None
    number = int(match[1]) if match else value
    if isinstance(number, int) and number >= 1:
        return number
    raise ValueError(f"{value!r} must be host, none or a number of GPUs such as '2 GPUs'")


def _name_list(value: object) -> object:
    """Pattern or list of patterns -> list of patterns."""
    return value if isinstance(value, list | dict) else [value]


Domain = Annotated[
    int,
    BeforeValidator(_domain),
    Field(le=MAX_PER_HOST),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["host", "none", "2 GPUs"]}),
]
Patterns = Annotated[
    list[str],
    BeforeValidator(_name_list),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "examples": ["node-[0-28]"]}
    ),
]


class ScaleUp(Shape):
    """NVLink or the like inside a host: GPUs of one domain, and the bandwidth of one GPU in each direction."""

    domain: Domain
    domains: list[list[Small]] = Field(
        default_factory=list, description="GPUs of each domain, where domains are not runs of as many GPUs"
    )
    bandwidth: Bandwidth | None = None


class NicCount(Shape):
    """NIC i stands beside GPU i, on rail i."""

    count: Few
    bandwidth: Bandwidth


class NicItem(Shape):
    """One NIC; the rail is its index and the GPU the nearest in proportion, unless given."""

    name: Label | None = None
    rail: Small | None = None
    gpu: Small | None = None
    also: list[Small] = Field(default_factory=list, description="further GPUs that use it, having no nearer one")
    plane: Small = 0
    bandwidth: Bandwidth


class OtherNic(Shape):
    """A NIC of another network than the one that GPUs talk over."""

    name: Label | None = None
    network: Label = Field("front-end", description="front-end, storage, management ...")
    gpu: Small = 0
    bandwidth: Bandwidth | None = None


class HostTypeShape(Shape):
    """A kind of host."""

    gpus: Few
    scale_up: ScaleUp | None = None
    nics: (
        Annotated[
            Annotated[NicCount, Tag("<mapping>")]
            | Annotated[Annotated[list[NicItem], Field(max_length=MAX_PER_HOST)], Tag("<list>")],
            Discriminator(lambda value: "<list>" if isinstance(value, list) else "<mapping>"),
        ]
        | None
    ) = None
    other_nics: list[OtherNic] = Field(
        default_factory=list, max_length=MAX_PER_HOST, description="of front-end, storage and management networks"
    )
    switches: list[list[Small]] = Field(
        default_factory=list, description="GPUs under each PCIe switch, or of each NUMA node"
    )
    slices: list[Few] = Field(
        default_factory=list, description="places that each physical GPU is cut into (MIG); gpus counts places"
    )
    gpu_memory: Size | None = None
    flops: Flops | None = None
    speed: Positive = 1.0


class TierItem(Shape):
    """A tier with its own hop distance or latency."""

    name: Label
    distance: Positive | None = None
    latency: Seconds | None = None


TierEntry = Annotated[
    Annotated[Label, Tag("<text>")] | Annotated[TierItem, Tag("<mapping>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<mapping>"),
]


class GroupShape(Shape):
    """A switch, or the rail-aligned switches, of a tier, and the links that leave it."""

    name: Label
    tier: Label
    parent: Label | None = None
    rails: Few = 1
    uplink: Links | None = Field(None, description="all rails together, each direction")
    oversubscription: Positive | None = Field(None, description="NIC bandwidth below / uplink bandwidth")
    rail_links: list[Annotated[float, Field(ge=0, le=MAX_COUNT)]] | None = Field(
        None, description="links of each rail where they differ; uplink then gives the bandwidth of one"
    )
    switches: list[Annotated[str, Field(max_length=253)]] = Field(
        default_factory=list,
        description="its real switches as links name them, rail by rail, as many for each; '' for one that is absent",
    )


class AttachShape(Shape):
    """Where one NIC of each host goes."""

    nic: Small
    group: Label
    plane: Small = 0


class HostsShape(Shape):
    """Hosts of one type at one place of the fabric."""

    names: Patterns
    type: Label | None = None
    group: Label | None = None
    attach: list[AttachShape] = Field(default_factory=list)
    aliases: dict[Label, Patterns] = Field(default_factory=dict)


class IslandShape(Shape):
    """An NVLink domain wider than a host."""

    name: Label
    hosts: Patterns
    bandwidth: Bandwidth
    unusable: Patterns = Field(default_factory=list)


class LinkShape(Shape):
    """Cables between two switches."""

    a: Label
    b: Label
    count: Count = 1
    bandwidth: Bandwidth
    plane: Small = 0


class FabricFile(Header):
    """A Fabric file."""

    kind: Literal["Fabric"]
    routing: Literal["adaptive", "ecmp", "static"] | None = None
    fabric_type: Literal["infiniband", "ethernet"] | None = None
    host_types: Annotated[dict[Label, HostTypeShape], Field(min_length=1)]
    tiers: Annotated[list[TierEntry], Field(max_length=64)] = Field(default_factory=list)
    groups: list[GroupShape] = Field(default_factory=list)
    hosts: Annotated[list[HostsShape], Field(min_length=1)]
    host_order: Literal["physical", "listed"] = "physical"
    islands: list[IslandShape] = Field(default_factory=list)
    links: list[LinkShape] = Field(default_factory=list)
    unavailable: Patterns = Field(default_factory=list)
    assumed: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


def expand_patterns(patterns: list[str], limit: int) -> list[str]:
    """Host names of all patterns, in order; ValueError where `names.expand` raises one."""
    found: list[str] = Field(default_factory=list)
    for pattern in patterns:
        found.extend(names.expand(pattern, limit=limit - len(found)))
    return found
