"""Shape of a Prices file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from topoplan.files.shapes import Header, Label, shown
from topoplan.units import parse_bandwidth

Price = Annotated[float, Field(ge=0, le=1e12)]


def _by_speed(value: object) -> object:
    """Price of every speed (None) or of each: 900, or {400 Gb/s: 900, 800 Gb/s: 1700}."""
    entries = value if isinstance(value, dict) else {None: value}
    if not entries:
        raise ValueError("no price: give a number, or one for each speed")
    found: dict[float | None, float] = {}
    for speed, price in entries.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price <= 1e12:
            raise ValueError(f"{shown(price)} is not a price: give a number from 0 up")
        found[None if speed is None else parse_bandwidth(speed)] = float(price)
    return found


_NUMBER = {"type": "number", "minimum": 0}
BySpeed = Annotated[
    dict[Any, Any],
    BeforeValidator(_by_speed),
    WithJsonSchema(
        {"anyOf": [_NUMBER, {"type": "object", "additionalProperties": _NUMBER, "minProperties": 1}]},
    ),
]


class PricesFile(Header):
    """What a GPU-hour, a NIC, a switch port and a cable cost, all in one currency."""

    kind: Literal["Prices"]
    currency: Label = "USD"
    gpu_hour: Price | None = None
    nic: BySpeed | None = None
    switch_port: BySpeed | None = None
    cable: BySpeed | None = None
