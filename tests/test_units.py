from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan import units

POSITIVE = st.floats(min_value=1e-6, max_value=1e18, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400 Gb/s", 50e9), ("400Gb/s", 50e9), ("400 Gbps", 50e9), ("450 GB/s", 450e9), ("0.8 Tb/s", 100e9),
        ("1e3 MB/s", 1e9), ("100 Gbit/s", 12.5e9),
    ],
)  # fmt: skip
def test_bandwidth(text: str, expected: float) -> None:
    assert units.parse_bandwidth(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        400, 400.0, None, True, "400", "-1 Gb/s", "0 Gb/s", "400 Gb", "400 GiB/s", "\u0664 Gb/s",
        "1e400 Gb/s", "1e305 Tb/s",
    ],
)  # fmt: skip
def test_bandwidth_refuses(value: object) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        units.parse_bandwidth(value)


def test_links() -> None:
    assert units.parse_links("256 x 400 Gb/s") == (256, 50e9)
    assert units.parse_links("400 Gb/s") == (1, 50e9)
    for bad in ("0 x 400 Gb/s", "9" * 4000 + " x 400 Gb/s", "99999999999 x 1 Gb/s", "2 x", "2 x -1 Gb/s"):
        with pytest.raises(ValueError, match=r"counts|bandwidth"):
            units.parse_links(bad)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (units.parse_seconds, "2 us", 2e-6), (units.parse_seconds, "1.5 ms", 1.5e-3), (units.parse_seconds, "0 s", 0.0),
        (units.parse_bytes, "80 GB", 80e9), (units.parse_bytes, "80 GiB", 80 * 2**30),
        (units.parse_flops, "989 TFLOPS", 989e12),
    ],
)  # fmt: skip
def test_other_units(parse: Callable[[object], float], text: str, expected: float) -> None:
    assert parse(text) == pytest.approx(expected, rel=1e-15)
    for bad in (2, "2", "-2 " + text.split()[1], "x " + text.split()[1]):
        with pytest.raises(ValueError, match=r"number|above|negative"):
            parse(bad)


@settings(deadline=None)
@given(POSITIVE)
def test_formats_read_back_exactly(value: float) -> None:
    assert units.parse_bandwidth(units.format_bandwidth(value)) == value
    assert units.parse_bandwidth(units.format_bandwidth(value, bits=False)) == value
    assert units.parse_seconds(units.format_seconds(value)) == value
    assert units.parse_bytes(units.format_size(value)) == value
    assert units.parse_flops(units.format_flops(value)) == value


def test_formats_are_short() -> None:
    assert units.format_bandwidth(50e9) == "400 Gb/s"
    assert units.format_bandwidth(450e9, bits=False) == "450 GB/s"
    assert units.format_seconds(2e-6) == "2 us"
    assert units.format_size(80e9) == "80 GB"
    assert units.format_bytes(5.523e9) == "5.52 GB"
