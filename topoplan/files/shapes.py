"""Base of the pydantic shapes of our files, the field types they share, and their errors as InputErrors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from topoplan import names, units
from topoplan.errors import InputError, Place
from topoplan.files.marked import Marked

MAX_COUNT = 2**24  # more ranks or GPUs than anyone has; bounds what a hostile number can cost
_MAX_TEXT = 253
_MAX_SHOWN = 8  # further errors of a file named after the first

S = TypeVar("S", bound="Header")


class Shape(BaseModel):
    """A mapping with known keys and strict types: text is never taken for a number, nor a number for text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        """Refuse unknown keys with the likeliest intended one, which pydantic alone cannot name."""
        if isinstance(data, dict):
            known = {field.alias or name for name, field in cls.model_fields.items()}
            for key in data:
                if key not in known:
                    hint = names.closest(str(key), known) or f"known keys: {', '.join(sorted(known))}"
                    raise PydanticCustomError("unknown_key", "unknown key", {"key": key, "hint": hint})
        return data


def _label(value: object) -> object:
    if isinstance(value, str) and not (0 < len(value) <= _MAX_TEXT and value.isprintable()):
        raise ValueError(f"{value[:60]!r} must be 1 to {_MAX_TEXT} printable characters")
    return value


def _text_schema(*examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": list(examples)})


Label = Annotated[str, BeforeValidator(_label)]
Bandwidth = Annotated[float, BeforeValidator(units.parse_bandwidth), _text_schema("400 Gb/s", "450 GB/s")]
Links = Annotated[tuple[int, float], BeforeValidator(units.parse_links), _text_schema("256 x 400 Gb/s", "400 Gb/s")]
Seconds = Annotated[float, BeforeValidator(units.parse_seconds), _text_schema("2 us")]
Size = Annotated[float, BeforeValidator(units.parse_bytes), _text_schema("80 GB")]
Flops = Annotated[float, BeforeValidator(units.parse_flops), _text_schema("989 TFLOPS")]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Index = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Header(Shape):
    """What each of our YAML files begins with."""

    api_version: Literal["topoplan/v1"] = Field(alias="apiVersion")
    name: Label


def check(shape: type[S], marked: Marked) -> S:
    """The data as `shape`.

    Raises
    ------
    InputError
        At the place of the first value that does not fit; the message goes on with the others.
    """
    if not isinstance(marked.data, dict):
        raise marked.error("the file must be a mapping of keys to values, such as 'kind: Fabric'")
    _check_kind(shape, marked)
    try:
        return shape.model_validate(marked.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise _input_error(marked, details)


def _check_kind(shape: type[Header], marked: Marked) -> None:
    """Tell a wrong kind of file before its keys are called unknown one by one."""
    wanted = get_args(shape.model_fields["kind"].annotation)
    given = marked.data.get("kind", wanted[0])
    if given not in wanted:
        raise marked.error(f"kind must be {wanted[0]!r} here, not {shown(given)}", ("kind",))


def _input_error(marked: Marked, details: list[ErrorDetails]) -> InputError:
    """One error at the place of the first detail; its message names the others too."""
    first, *others = details
    text = _message(first)
    for detail in others[:_MAX_SHOWN]:
        text += f"\n  also {_place(marked, detail)}: {_message(detail)}"
    if len(others) > _MAX_SHOWN:
        text += f"\n  and {len(others) - _MAX_SHOWN} more"
    return InputError(text, place=_place(marked, first), hint=_context(first).get("hint", ""))


def message_of(error: ValidationError) -> str:
    """What is wrong with data that has no marks: the first value, and how many more."""
    first, *others = error.errors(include_url=False)
    return _message(first) + (f"\n  and {len(others)} more" if others else "")


def _context(detail: ErrorDetails) -> dict[str, Any]:
    return detail.get("ctx", {})


def _place(marked: Marked, detail: ErrorDetails) -> Place:
    if detail["type"] == "unknown_key":
        return marked.place((*detail["loc"], _context(detail)["key"]), key=True)
    return marked.place(detail["loc"])


def _message(detail: ErrorDetails) -> str:
    """What is wrong in the words of the file, not of Python."""
    kind, context, given = detail["type"], _context(detail), detail["input"]
    path = _path([*detail["loc"], context["key"]] if kind == "unknown_key" else detail["loc"])
    expected = {
        "int_type": "a whole number",
        "float_type": "a number",
        "string_type": "a text (put it in quotes)",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a mapping of keys to values",
        "model_type": "a mapping of keys to values",
        "literal_error": str(context.get("expected", "")),
        "finite_number": "a finite number",
        "greater_than_equal": f"at least {context.get('ge')}",
        "greater_than": f"above {context.get('gt')}",
        "less_than_equal": f"at most {context.get('le')}",
    }.get(kind)
    if kind == "missing":
        return f"{path} is missing"
    if expected:
        return f"{path} must be {expected}, not {shown(given)}"
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"


def shown(value: object) -> str:
    """A value as a message shows it: short, and by kind where it is nested."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _path(loc: Any) -> str:
    """hosts[3].type; tags of alternatives, which start with "<", are left out."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("<"):
            text += f".{part}" if text else part
    return text or "the file"
