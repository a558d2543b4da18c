"""JSON or YAML text that others wrote -> plain data with places, one entry a document; bounded for hostile text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from topoplan.errors import InputError, Place
from topoplan.files.marked import MAX_DEPTH, Mark, Marked, parse_all

_SPACE = re.compile(r"[\s,]*")


def load(text: str, path: str) -> list[Marked]:
    """Documents of `text`: JSON (one value, or several one after another as pages of an API are), or YAML.

    JSON values have no marks: their place is the file, without a line.

    Raises
    ------
    InputError
        Neither JSON nor YAML, keys that stand twice, or nesting that is too deep.
    """
    if not is_json(text) or "\n---" in text:  # JSON between such lines is YAML as well
        return parse_all(text, path)
    documents, at = [], _space_end(text, 0)
    while at < len(text):
        data, at = _json_value(text, at, path)
        documents.append(Marked(data, path, Mark(-1, -1)))
        at = _space_end(text, at)
    return documents


def is_json(text: str) -> bool:
    """Whether `text` begins as JSON objects and lists do."""
    return text[_space_end(text, 0) : _space_end(text, 0) + 1] in ("{", "[")


def _space_end(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _json_value(text: str, at: int, path: str) -> tuple[Any, int]:
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    try:
        data, end = decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        place = Place(path, error.lineno, error.colno)
        raise InputError(f"not valid JSON: {error.msg}", place=place) from None
    except RecursionError:
        raise InputError("nested too deep", place=Place(path)) from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", place=Place(path)) from None
    _check_depth(data, path)
    return data, end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {twice[:60]!r} stands twice in one object")
    return found


def _check_depth(data: Any, path: str) -> None:
    """Refuse what is nested deeper than YAML may be, so that code below may recurse."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        level = [value for item in level for value in _inside(item) if isinstance(value, dict | list)]
        if not level:
            return
    raise InputError(f"nested more than {MAX_DEPTH} levels deep", place=Place(path))


def _inside(item: Any) -> Iterator[Any]:
    return iter(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())


def text_at(data: Any, *keys: str) -> str:
    """Text at `keys` of nested mappings, "" where there is none."""
    here = value_at(data, *keys)
    return here if isinstance(here, str) else ""


def value_at(data: Any, *keys: str) -> Any:
    """Value at `keys` of nested mappings, None where there is none."""
    for key in keys:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data


def mapping_at(data: Any, *keys: str) -> dict[str, Any]:
    """Mapping at `keys`, empty where there is none."""
    here = value_at(data, *keys)
    return here if isinstance(here, dict) else {}


def list_at(data: Any, *keys: str) -> list[Any]:
    """List at `keys`, empty where there is none."""
    here = value_at(data, *keys)
    return here if isinstance(here, list) else []
