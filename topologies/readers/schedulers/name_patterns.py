"""Regular expressions over node names, for selectors that others wrote: matched in bounded time, listed where finite.

Python's matcher can take exponential time on a hostile pattern, so only plain ones are taken: no group is repeated, and
at most two parts are of any length. That is what names of nodes need.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterable

_MAX_PATTERN = 200
_MAX_ENDLESS = 2
_TOKEN = re.compile(r"\\(?P<escaped>[^A-Za-z0-9])|\[(?P<any>[A-Za-z0-9_-]+)\]|\((?:\?:)?(?P<either>[A-Za-z0-9_|-]+)\)|"
                    r"(?P<plain>[A-Za-z0-9_-])")  # fmt: skip


def compile_pattern(text: str) -> re.Pattern[str]:
    """`text` as a pattern to search names with.

    Raises
    ------
    ValueError
        Not a regular expression, or one that could take long.
    """
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"a pattern of {len(text)} characters is longer than {_MAX_PATTERN}")
    bare = re.sub(r"\\.|\[[^\]]*\]", "x", text)
    if re.search(r"\)[*+?{]", bare) or "(?" in bare.replace("(?:", ""):
        raise ValueError(f"pattern {text[:60]!r} repeats a group or looks around, which is not supported")
    if len(re.findall(r"[*+]|\{", bare)) > _MAX_ENDLESS:
        raise ValueError(f"pattern {text[:60]!r} has more than {_MAX_ENDLESS} parts of any length")
    try:
        with warnings.catch_warnings(action="ignore"):  # about what later versions may read otherwise, such as [[
            return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern {text[:60]!r} is not a regular expression: {error}") from None


def all_names(text: str, limit: int) -> list[str]:
    """Names that `text` matches from end to end, where it is made of characters, [0-3] and (a|b) alone.

    Raises
    ------
    ValueError
        A pattern without end, or more than `limit` names.
    """
    body = text.removeprefix("^").removesuffix("$")
    parts: list[list[str]] = []
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if not match:
            raise ValueError(f"pattern {text[:60]!r} has no end of names: the nodes themselves are needed")
        at = match.end()
        parts.append(_choices(match))
    count = 1
    for part in parts:
        count *= len(part)
        if count > limit:
            raise ValueError(f"pattern {text[:60]!r} matches more than {limit} names")
    return ["".join(choice) for choice in itertools.product(*parts)]


def _choices(match: re.Match[str]) -> list[str]:
    if match["any"] is not None:
        return sorted(set(_members(match["any"])))
    if match["either"] is not None:
        return list(dict.fromkeys(match["either"].split("|")))
    return [match["escaped"] or match["plain"]]


def _members(text: str) -> Iterable[str]:
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            yield from map(chr, range(ord(text[at]), ord(text[at + 2]) + 1))
            at += 3
        else:
            yield text[at]
            at += 1
