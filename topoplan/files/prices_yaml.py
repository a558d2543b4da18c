"""Read a Prices file."""

from __future__ import annotations

from topoplan.files.inputs import read_source
from topoplan.files.marked import parse
from topoplan.files.prices_shape import PricesFile
from topoplan.files.shapes import check
from topoplan.model.prices import ITEMS, Prices


def read_prices(path: str) -> Prices:
    """Prices of a YAML file, or of standard input for "-".

    Raises
    ------
    InputError
        Not a Prices file, or not a single price in it.
    """
    source = read_source(path)
    return parse_prices(source.text, source.shown)


def parse_prices(text: str, path: str = "<text>") -> Prices:
    """Prices of YAML text; `path` names the file in messages. Raises as `read_prices`."""
    marked = parse(text, path)
    file = check(PricesFile, marked)
    items = {item: getattr(file, item) for item in ITEMS if getattr(file, item) is not None}
    if not items and file.gpu_hour is None:
        raise marked.error("no price is given", hint=f"give gpu_hour, {', '.join(ITEMS[:-1])} or {ITEMS[-1]}")
    return Prices(file.name, file.currency, file.gpu_hour, items)
