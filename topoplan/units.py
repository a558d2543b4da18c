"""Text with units <-> SI numbers: "400 Gb/s", "256 x 400 Gb/s", "2 us", "80 GB"."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
_BANDWIDTH = re.compile(rf"^{_NUMBER}\s*([kKMGTP]?)(b|bit|bits|B)(?:/s|ps)$")
_COUNTED = re.compile(r"^([0-9]+)\s*[x×*]\s*(.+)$")
_MAX_LINKS = 10**9  # in one bundle
_TIME = re.compile(rf"^{_NUMBER}\s*(s|ms|us|µs|ns)$")
_TIME_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SIZE = re.compile(rf"^{_NUMBER}\s*([kKMGTP]?|[KMGT]i)B$")
_FLOPS = re.compile(rf"^{_NUMBER}\s*([kKMGTP]?)(?:FLOPS|FLOP/s|flops|flop/s)$")


def _positive(value: float, text: str, what: str) -> float:
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{what} {text!r} must be above zero")
    return value


def parse_bandwidth(value: object) -> float:
    """Bytes per second of a text such as "400 Gb/s" (bits) or "450 GB/s" (bytes).

    Raises
    ------
    ValueError
        A bare number, an unknown unit, or a value that is not above zero.
    """
    if not isinstance(value, str):
        raise ValueError(f"bandwidth {value!r} has no unit; write for example '400 Gb/s' or '50 GB/s'")
    match = _BANDWIDTH.match(value.strip())
    if not match:
        raise ValueError(f"bandwidth {value!r} is not a number with a unit such as '400 Gb/s' or '50 GB/s'")
    number, prefix, unit = match.groups()
    bits = 1.0 if unit == "B" else 1 / 8
    return _positive(float(number) * _PREFIX[prefix] * bits, value, "bandwidth")


def parse_links(value: object) -> tuple[int, float]:
    """Count and bytes per second of each link of "256 x 400 Gb/s"; one link when no count is given.

    Raises
    ------
    ValueError
        As `parse_bandwidth`, or a count below one.
    """
    if isinstance(value, str) and (match := _COUNTED.match(value.strip())):
        count = int(match[1]) if len(match[1]) <= len(str(_MAX_LINKS)) else _MAX_LINKS + 1
        if count < 1:
            raise ValueError(f"{value!r} counts no link")
        if count > _MAX_LINKS:
            raise ValueError(f"{value[:80]!r} counts more than {_MAX_LINKS} links")
        return count, parse_bandwidth(match[2])
    return 1, parse_bandwidth(value)


def parse_seconds(value: object) -> float:
    """Seconds of "2 us"; ValueError on a bare number or a negative one."""
    match = _TIME.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"time {value!r} is not a number with a unit such as '2 us'")
    seconds = float(match[1]) * _TIME_S[match[2]]
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"time {value!r} must not be negative")
    return seconds


def parse_bytes(value: object) -> float:
    """Bytes of "80 GB" or "80 GiB"; ValueError on a bare number."""
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"size {value!r} is not a number with a unit such as '80 GB'")
    return _positive(float(match[1]) * (_PREFIX | _BINARY)[match[2]], str(value), "size")


def parse_flops(value: object) -> float:
    """Floating-point operations per second of "989 TFLOPS"; ValueError on a bare number."""
    match = _FLOPS.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"compute rate {value!r} is not a number with a unit such as '989 TFLOPS'")
    return _positive(float(match[1]) * _PREFIX[match[2]], str(value), "compute rate")


def format_bandwidth(bytes_per_s: float, *, bits: bool = True) -> str:
    """Text that `parse_bandwidth` reads back to the same float: "400 Gb/s", or "450 GB/s" with bits=False."""
    unit = "b/s" if bits else "B/s"
    scaled = bytes_per_s * (8 if bits else 1)
    prefix = next((prefix for prefix in ("T", "G", "M", "k") if scaled >= _PREFIX[prefix]), "")
    text = f"{_short(scaled / _PREFIX[prefix])} {prefix}{unit}"
    return text if _reads_back(parse_bandwidth, text, bytes_per_s) else f"{bytes_per_s!r} B/s"


def rate_text(bytes_per_s: float) -> str:
    """Bandwidth in bits per second for people, to four figures: "175.5 Tb/s"."""
    bits = bytes_per_s * 8
    prefix = next((prefix for prefix in ("T", "G", "M", "k") if bits >= _PREFIX[prefix]), "")
    return f"{bits / _PREFIX[prefix]:.4g} {prefix}b/s"


def format_seconds(seconds: float) -> str:
    """Text that `parse_seconds` reads back to the same float: "2 us"."""
    unit = next((unit for unit in ("s", "ms", "us") if seconds >= _TIME_S[unit]), "ns")
    text = f"{_short(seconds / _TIME_S[unit])} {unit}"
    return text if _reads_back(parse_seconds, text, seconds) else f"{seconds!r} s"


def format_size(size_bytes: float) -> str:
    """Text that `parse_bytes` reads back to the same float: "80 GB"; `format_bytes` rounds for people."""
    return _exact(parse_bytes, size_bytes, "B")


def format_flops(flops_per_s: float) -> str:
    """Text that `parse_flops` reads back to the same float: "989 TFLOPS"."""
    return _exact(parse_flops, flops_per_s, "FLOPS")


def _exact(parse: Callable[[object], float], value: float, unit: str) -> str:
    prefix = next((prefix for prefix in ("P", "T", "G", "M", "k") if value >= _PREFIX[prefix]), "")
    text = f"{_short(value / _PREFIX[prefix])} {prefix}{unit}"
    return text if _reads_back(parse, text, value) else f"{value!r} {unit}"


def _reads_back(parse: Callable[[object], float], text: str, value: float) -> bool:
    """Whether rounding for the eye kept the value; tiny ones can round to zero, which does not parse."""
    try:
        return parse(text) == value
    except ValueError:
        return False


def format_bytes(size_bytes: float) -> str:
    """Text for people: "5.52 GB"."""
    for prefix in ("P", "T", "G", "M", "k"):
        if size_bytes >= _PREFIX[prefix]:
            return f"{size_bytes / _PREFIX[prefix]:.3g} {prefix}B"
    return f"{size_bytes:.3g} B"


def _short(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 9))
