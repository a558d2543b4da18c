"""Templates of the catalogue: plain data whose lists and texts depend on parameters.

Texts may hold expressions in braces, ``"{units * 32:03d}"``; one that is nothing else becomes a number. A mapping in a
list may have `for`, names and ranges (``3`` is 1 to 3, ``"0..7"`` is 0 to 7), and stands for one entry for each; one
with `when` stands only where the condition holds. Expressions know arithmetic, comparisons, ``if else``, min and max.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Number = int | float
Names = Mapping[str, Number]

_BRACES = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
}
_CALLS: dict[str, Callable[..., Number]] = {"min": min, "max": max}


def evaluate(text: str, names: Names) -> Number:
    """Value of an expression; whole floats become integers, so that they print as counts.

    Raises
    ------
    ValueError
        Anything that is no expression of this small language.
    """
    value = _value(ast.parse(text, mode="eval").body, names)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _value(node: ast.expr, names: Names) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, names)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]) if (
            type(op) in _BINARY
        ):
            return _number(_BINARY[type(op)](_value(left, names), _value(right, names)))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Call(func=ast.Name(id=name), args=args) if name in _CALLS:
            return _CALLS[name](*(_value(arg, names) for arg in args))
    raise ValueError(f"{ast.unparse(node)!r} is not an expression of the catalogue")


def _number(value: Any) -> Number:
    assert isinstance(value, int | float)
    return value


def expand(value: Any, names: Names) -> Any:
    """`value` with its braces, `for` and `when` written out."""
    if isinstance(value, str):
        return _text(value, names)
    if isinstance(value, list):
        return [copy for item in value for copy in _copies(item, names)]
    if isinstance(value, dict):
        return {key: expand(item, names) for key, item in value.items()}
    return value


def _text(text: str, names: Names) -> str | Number:
    whole = _BRACES.fullmatch(text)
    if whole and whole[2] is None:
        return evaluate(whole[1], names)
    return _BRACES.sub(lambda match: format(evaluate(match[1], names), match[2] or ""), text)


def _copies(item: Any, names: Names) -> Iterator[Any]:
    if not isinstance(item, dict) or not {"for", "when"} & item.keys():
        yield expand(item, names)
        return
    if not evaluate(item.get("when", "1"), names):
        return
    loops: dict[str, int | str] = item.get("for", {})
    rest = {key: inner for key, inner in item.items() if key not in {"for", "when"}}
    for numbers in itertools.product(*(_range(limits, names) for limits in loops.values())):
        yield expand(rest, {**names, **dict(zip(loops, numbers, strict=True))})


def _range(limits: int | str, names: Names) -> range:
    first, dots, last = str(limits).partition("..")
    ends = [int(evaluate(end, names)) for end in ((first, last) if dots else ("1", first))]
    return range(ends[0], ends[1] + 1)
