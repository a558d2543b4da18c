"""Names of hosts and groups: which are allowed, lists such as "node-[0-28,40]", and orders."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from topoplan.errors import InputError

Thing = TypeVar("Thing")
MAX_NAMES = 2_000_000  # more than any cluster has; bounds what a hostile list can cost
_MAX_LENGTH = 253  # RFC 1123: longest host name
# Neither option-like nor special to any shell or launch file.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_DIGITS = re.compile(r"([0-9]+)")
_MAX_DIGITS = 18  # of a number in a range
_LAST_NUMBER = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)", re.DOTALL)
_MAX_CANDIDATES = 2_000  # names that a hint compares with: difflib takes about 10 us each
_ENOUGH = 20


def check_name(name: str) -> str:
    """Return `name` if it is safe in every launch file, else raise ValueError."""
    if len(name) > _MAX_LENGTH or not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name[:80]!r} is refused: use letters, digits, '.', '_' and '-' (first and last a letter or digit)"
        )
    return name


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts node-2 before node-10."""
    return tuple(
        (1, int(part), part) if _DIGITS.fullmatch(part) else (0, 0, part) for part in _DIGITS.split(name) if part
    )


def split_list(text: str) -> list[str]:
    """Split at commas and white space outside brackets.

    Raises
    ------
    ValueError
        Brackets that do not match.
    """
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        if char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
        elif depth == 0 and (char == "," or char.isspace()):
            parts.append(text[start:i])
            start = i + 1
        if depth not in (0, 1):
            raise ValueError(f"brackets do not match in {text[:80]!r}")
    if depth:
        raise ValueError(f"brackets do not match in {text[:80]!r}")
    parts.append(text[start:])
    return [part for part in parts if part]


def expand(text: str, *, limit: int = MAX_NAMES) -> list[str]:
    """Names of a host list in the order written: "a[1-2]b[01,05],c" -> a1b01 a1b05 a2b01 a2b05 c.

    Raises
    ------
    ValueError
        Brackets that do not match, a range that runs backwards, a name that `check_name` refuses, or more than
        `limit` names.
    """
    names: list[str] = []
    for part in split_list(text):
        names.extend(_expand_one(part, limit - len(names)))
    return [check_name(name) for name in names]


def _expand_one(part: str, limit: int) -> list[str]:
    stems = [""]
    for i, piece in enumerate(re.split(r"\[([^\[\]]*)\]", part)):
        tails = [piece] if i % 2 == 0 else _expand_ranges(piece, limit)
        if len(stems) * len(tails) > limit:
            raise ValueError(f"{part[:80]!r} names more than {limit} hosts")
        if len(stems[0]) + len(tails[0]) > _MAX_LENGTH:  # before a long stem is copied many times
            raise ValueError(f"{part[:80]!r} makes names longer than {_MAX_LENGTH} characters")
        stems = [stem + tail for stem in stems for tail in tails]
    return stems


def _expand_ranges(text: str, limit: int) -> list[str]:
    numbers: list[str] = []
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        if not match:
            raise ValueError(f"[{text[:80]}] is not a list of numbers and ranges")
        low, high = match[1], match[2] or match[1]
        if max(len(low), len(high)) > _MAX_DIGITS:
            raise ValueError(f"range {item[:80]!r} has numbers of more than {_MAX_DIGITS} digits")
        if int(high) < int(low):
            raise ValueError(f"range {item!r} runs backwards")
        if len(numbers) + int(high) - int(low) + 1 > limit:
            raise ValueError(f"[{text[:80]}] names more than {limit} hosts")
        width = len(low) if low.startswith("0") else 0
        numbers.extend(str(n).zfill(width) for n in range(int(low), int(high) + 1))
    return numbers


def compress(names: Sequence[str]) -> str:
    """Host list that `expand` turns back into `names`, in the same order.

    Runs of names that differ in their last number alone and count up by one become a range.
    """
    runs: list[tuple[str, str, int, int, str]] = []  # stem, first number as written, first, last, tail
    for name in names:
        match = _LAST_NUMBER.fullmatch(name)
        if match is None:
            runs.append((name, "", 0, 0, ""))
            continue
        stem, digits, tail = match.groups()
        if runs and _continues(runs[-1], stem, digits, tail):
            runs[-1] = (*runs[-1][:3], int(digits), tail)
        else:
            runs.append((stem, digits, int(digits), int(digits), tail))
    return ",".join(_run_text(run) for run in runs)


def _continues(run: tuple[str, str, int, int, str], stem: str, digits: str, tail: str) -> bool:
    old_stem, first, _, last, old_tail = run
    if not first or (old_stem, old_tail) != (stem, tail) or int(digits) != last + 1:
        return False
    padded = first.startswith("0") and len(first) > 1
    return len(digits) == len(first) if padded else not digits.startswith("0")


def _run_text(run: tuple[str, str, int, int, str]) -> str:
    stem, first, low, high, tail = run
    if low == high:
        return stem + first + tail
    return f"{stem}[{first}-{str(high).zfill(len(first))}]{tail}"


def pick(kind: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """The thing of that name in a registry.

    Parameters
    ----------
    kind
        What the things are, for messages.

    Raises
    ------
    InputError
        There is none; the hint names the likeliest, and all.
    """
    if name in known:
        return known[name]
    every = f"known: {', '.join(known)}"
    near = closest(name, known)
    raise InputError(f"{kind} {name[:80]!r} is not known", hint=f"{near} {every}" if near else every)


def closest(name: str, known: Iterable[str]) -> str:
    """Hint text naming the likeliest intended word, or "" when nothing is near."""
    import difflib  # noqa: PLC0415 - only on the way to an error message

    name = name[:_MAX_LENGTH]
    words = list(known)
    if len(words) > _MAX_CANDIDATES:
        words = _nearest_beginnings(name, words)
    found = difflib.get_close_matches(name, words, n=1)
    return f"did you mean {found[0]!r}?" if found else ""


def _nearest_beginnings(name: str, words: list[str]) -> list[str]:
    """The words that begin most like `name`, at most `_MAX_CANDIDATES`, those of like length first."""
    low, high = 0, len(name)
    while low < high:  # the longest beginning that enough words share
        middle = (low + high + 1) // 2
        near = [word for word in words if word.startswith(name[:middle])]
        if len(near) < _ENOUGH:
            high = middle - 1
        else:
            low, words = middle, near
    return heapq.nsmallest(_MAX_CANDIDATES, words, key=lambda word: abs(len(word) - len(name)))
