"""Prices files: what they say, and what is refused where."""

from __future__ import annotations

import pytest

from topoplan.errors import InputError
from topoplan.files.prices_yaml import parse_prices

HEAD = "apiVersion: topoplan/v1\nkind: Prices\nname: quote\n"


def test_a_price_for_every_speed_or_for_each() -> None:
    prices = parse_prices(HEAD + "currency: EUR\ngpu_hour: 2\nnic: {400 Gb/s: 1200, 800 Gb/s: 2300}\ncable: 250\n")
    assert (prices.name, prices.currency, prices.gpu_hour) == ("quote", "EUR", 2.0)
    assert prices.of("nic", 50e9) == 1200.0
    assert prices.of("nic", 25e9) is None
    assert prices.of("cable", 1.0) == 250.0
    assert prices.of("switch_port", 50e9) is None


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "no price is given"),
        ("nic: {}\n", 4, "no price"),
        ("nic: -3\n", 4, "-3 is not a price"),
        ("nic: .nan\n", 4, "not a price"),
        ("nic: {400: 3}\n", 4, "'400 Gb/s'"),
        ("nic: {400 Gb/s: dear}\n", 4, "'dear' is not a price"),
        ("gpu_hour: true\n", 4, "gpu_hour"),
        ("nics: 3\n", 4, "did you mean 'nic'"),
    ],
)
def test_what_is_no_price_is_refused_where_it_stands(text: str, line: int, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_prices(HEAD + text, "p.yaml")
    assert caught.value.place is not None
    assert (caught.value.place.path, caught.value.place.line) == ("p.yaml", line)
