"""Numbers as people read them: a few significant digits, with units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from math import isfinite, isnan

UNREACHABLE = "no path"  # an infinite time: ranks that must talk cannot reach each other
LONG_MS, SHORT_MS = 100_000.0, 0.01  # times from and below which s and us read better
FAR_APART = 10_000.0  # values that differ by less share the prefix of the smallest
SAME = 0.0005  # differences below 0.05 % would print as 0.0 %
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def significant(value: float, digits: int = 3) -> str:
    """Value with `digits` significant digits, whole numbers with all of theirs: "0.0123", "12.3", "1,234"."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    decimals = max(0, digits - 1 - _magnitude(rounded))
    if decimals > digits + 4:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.0f}" if decimals == 0 else f"{value:.{decimals}f}"


def _magnitude(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def milliseconds(value: float) -> str:
    """Time given in ms: "12.3 ms", "123 s", "4.56 us"."""
    return one_unit([value], "ms")(value)


def quantity(value: float, unit: str) -> str:
    """Value with an SI prefix: "5.52 GB"."""
    return _scaled(value, *_prefix(value, unit))


def one_unit(values: Iterable[float], kind: str) -> Callable[[float], str]:
    """Formatter that suits all of several values, "ms" or "bytes", so that they compare at a glance."""
    known = [value for value in values if value > 0 and isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if kind == "bytes":
        if high >= FAR_APART * low:
            return partial(quantity, unit="B")
        divisor, unit = _prefix(low, "B")
        return partial(_scaled, divisor=divisor, unit=unit)
    if high >= LONG_MS:
        return partial(_scaled, divisor=1e3, unit="s")
    return (
        partial(_scaled, divisor=1e-3, unit="us") if 0 < high < SHORT_MS else partial(_scaled, divisor=1.0, unit="ms")
    )


def _prefix(value: float, unit: str) -> tuple[float, str]:
    """Divisor and unit with prefix for a value; 999.9 takes the next prefix, to which it rounds."""
    rounded = float(f"{value:.3g}") if isfinite(value) else 0.0
    power = max(0, min(len(_PREFIXES) - 1, _magnitude(rounded) // 3)) if rounded else 0
    return 1000.0**power, _PREFIXES[power] + unit


def _scaled(value: float, divisor: float, unit: str) -> str:
    return f"{significant(value / divisor)} {unit}" if isfinite(value) else UNREACHABLE


def percent(share: float, *, signed: bool = False) -> str:
    """Share as percentage: "12.3 %", "+0.4 %"; "same" for a signed one too small to print."""
    if isnan(share):
        return ""
    if not isfinite(share):
        return UNREACHABLE if signed else "unbounded"
    if signed and abs(share) < SAME:
        return "same"
    digits = 0 if abs(share) >= 1 else 1
    return f"{100 * share:+,.{digits}f} %" if signed else f"{100 * share:,.{digits}f} %"


def change(value: float, base: float) -> float:
    """value / base - 1; 0 where both are 0, infinite where only one is, or where only `value` is infinite."""
    if value == base:
        return 0.0
    if base == 0 or not isfinite(base):
        return float("inf") if value > base else -1.0
    return value / base - 1


def ranges(values: Iterable[int]) -> str:
    """Integers as ranges: "0-3, 7"."""
    ordered = sorted(set(values))
    if not ordered:
        return ""
    starts = [ordered[0]] + [b for a, b in pairwise(ordered) if b != a + 1]
    ends = [a for a, b in pairwise(ordered) if b != a + 1] + [ordered[-1]]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Number and noun: "1 host", "1,024 hosts"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shortened(text: str, most: int) -> str:
    """Text of at most `most` characters, its middle replaced by an ellipsis: both ends tell names apart."""
    if len(text) <= most:
        return text
    if most < 3:
        return text[:most]
    tail = most // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"
