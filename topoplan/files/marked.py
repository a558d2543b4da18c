"""YAML text -> plain data that remembers where each value stands, safe for hostile text.

The text is read as events and put together here, not by PyYAML's composer: libyaml's composer recurses and ends the
process on deep nesting, its resolver knows YAML 1.1 (`no` is false, 12:30:00 is 45000), and neither refuses
duplicate keys. Scalars follow the core schema of YAML 1.2; numbers with leading zeros stay text, as names need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from topoplan.errors import InputError, Place

MAX_DEPTH = 40
MAX_NODES = 4_000_000  # a fabric of 131,072 hosts, each written on its own line, has about 1 million
MAX_ALIAS_NODES = 100_000  # nodes that aliases may add, all together

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 18  # integers of any use fit 64 bits
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class Mark:
    """Place of a value (from 0) and of what it contains; a mapping also knows the places of its keys."""

    __slots__ = ("children", "column", "keys", "line", "nodes")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.children: dict[Any, Mark] = {}
        self.keys: dict[str, tuple[int, int]] = {}
        self.nodes = 1  # it and all below


class Marked:
    """Plain data of one YAML document and the place of each part.

    Parameters
    ----------
    data
        dict, list, str, int, float, bool or None, nested.
    path
        File name for messages.
    root
        Mark of the whole.
    """

    def __init__(self, data: Any, path: str, root: Mark) -> None:
        self.data = data
        self.path = path
        self.root = root

    def place(self, loc: Iterable[str | int] = (), *, key: bool = False) -> Place:
        """Place of the value at `loc`, or of its key; parts of `loc` that do not exist are skipped."""
        here, line, column = self.root, self.root.line, self.root.column
        for part in loc:
            if part not in here.children:
                continue
            at_key = here.keys.get(str(part)) if key else None
            here = here.children[part]
            line, column = at_key or (here.line, here.column)
        return Place(self.path, line + 1, column + 1)

    def error(self, message: str, loc: Iterable[str | int] = (), *, key: bool = False, hint: str = "") -> InputError:
        """InputError that names the place of `loc`."""
        return InputError(message, place=self.place(loc, key=key), hint=hint)


def parse(text: str, path: str) -> Marked:
    """Data and marks of the one YAML document in `text`.

    Raises
    ------
    InputError
        Text that is not YAML, more than one document, duplicate or non-scalar keys, tags, merge keys, aliases that
        repeat too much, or nesting that is too deep.
    """
    documents = parse_all(text, path, limit=1)
    if not documents:
        raise InputError("the file is empty", place=Place(path))
    return documents[0]


def parse_all(text: str, path: str, *, limit: int = MAX_NODES) -> list[Marked]:
    """Data and marks of each YAML document in `text`, at most `limit`; empty ones are left out.

    The bounds on values and aliases hold for all documents together.

    Raises
    ------
    InputError
        As `parse`.
    """
    builder = _Builder(path, limit)
    try:
        for event in yaml.parse(text.removeprefix("\ufeff"), Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
        raise InputError(f"not valid YAML: {_problem(error)}", place=place) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"not valid YAML: {str(error).splitlines()[0]}", place=Place(path)) from None
    return builder.finished


def _problem(error: yaml.MarkedYAMLError) -> str:
    return " ".join(str(part) for part in (error.problem, error.context) if part)


class _Builder:
    """Puts events together with a stack of its own, so that nesting costs no recursion."""

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.finished: list[Marked] = []
        self.limit = limit
        self.documents = 0
        self.nodes = 0
        self.alias_nodes = 0
        # Open containers: the container, its mark, the key that waits for its value, the anchor.
        self.stack: list[tuple[Any, Mark, list[tuple[str, int, int]], str | None]] = []
        self.anchors: dict[str, tuple[Any, Mark]] = {}

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, {} if kind is yaml.MappingStartEvent else [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            container, mark, _, anchor = self.stack.pop()
            self._put(container, mark, anchor)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self.documents += 1
            if self.documents > self.limit:
                raise self._error(event, "a second YAML document begins here; only one is allowed")
            self.anchors.clear()

    def _scalar(self, event: Any) -> None:
        self._check(event)
        mark = Mark(event.start_mark.line, event.start_mark.column)
        if self._wants_key():
            self._key(event)
            return
        value = event.value
        if event.implicit[0]:  # plain, without quotes
            try:
                value = _resolve(value)
            except ValueError as error:
                raise self._error(event, str(error)) from None
        self._put(value, mark, event.anchor)

    def _wants_key(self) -> bool:
        return bool(self.stack) and type(self.stack[-1][0]) is dict and not self.stack[-1][2]

    def _key(self, event: Any) -> None:
        container, mark, waiting, _ = self.stack[-1]
        name = event.value
        if name in container:
            raise self._error(event, f"key {_short(name)} stands twice, first on line {mark.keys[name][0] + 1}")
        if name == "<<" and event.implicit[0]:
            raise self._error(event, "merge keys (<<) are not supported; write the keys out")
        waiting.append((name, event.start_mark.line, event.start_mark.column))

    def _open(self, event: Any, container: Any) -> None:
        self._check(event)
        if self._wants_key():
            raise self._error(event, "a key must be a text, not a list or mapping")
        if len(self.stack) >= MAX_DEPTH:
            raise self._error(event, f"nested more than {MAX_DEPTH} levels deep")
        self.anchors.pop(event.anchor, None)
        self.stack.append((container, Mark(event.start_mark.line, event.start_mark.column), [], event.anchor))

    def _alias(self, event: Any) -> None:
        if self._wants_key():
            raise self._error(event, "a key must be a text, not an alias")
        if event.anchor not in self.anchors:
            raise self._error(event, f"alias *{event.anchor} has no finished anchor before it")
        value, mark = self.anchors[event.anchor]
        self.alias_nodes += mark.nodes
        if self.alias_nodes > MAX_ALIAS_NODES:
            raise self._error(event, f"aliases repeat more than {MAX_ALIAS_NODES} values")
        here = Mark(event.start_mark.line, event.start_mark.column)
        here.children, here.keys, here.nodes = mark.children, mark.keys, mark.nodes
        self._put(value, here, None)

    def _check(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._error(event, f"more than {MAX_NODES} values")
        if event.tag not in (None, "!"):
            raise self._error(event, f"tag {_short(event.tag)} is not supported", hint="use quotes to make a text")

    def _put(self, value: Any, mark: Mark, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, mark)
        if not self.stack:
            if value is not None or self.limit == 1:
                self.finished.append(Marked(value, self.path, mark))
            return
        container, above, waiting, _ = self.stack[-1]
        above.nodes += mark.nodes
        if type(container) is list:
            above.children[len(container)] = mark
            container.append(value)
        else:
            name, line, column = waiting.pop()
            container[name] = value
            above.children[name] = mark
            above.keys[name] = (line, column)

    def _error(self, event: Any, message: str, *, hint: str = "") -> InputError:
        place = Place(self.path, event.start_mark.line + 1, event.start_mark.column + 1)
        return InputError(message, place=place, hint=hint)


def _resolve(text: str) -> Any:
    """Value of a plain scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first.isalpha():  # nearly all scalars: saves two regular expressions
        return text
    if _INT.fullmatch(text):
        if len(text.lstrip("+-")) > _MAX_DIGITS:
            raise ValueError(f"number {_short(text)} is too large")
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
