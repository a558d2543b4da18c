import contextlib
import json
from typing import cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory import at_most
from topoplan.errors import InputError
from topoplan.files import emit, marked
from topoplan.files.marked import parse

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


def test_scalars_follow_yaml_1_2() -> None:
    text = "[no, on, 12:30:00, 1_000, 007, 0x1F, 1e3, .5, -3, ~, '', true, \"5\", 2024-01-01, .inf, 0o17]"
    assert parse(text, "f").data == [
        "no", "on", "12:30:00", "1_000", "007", "0x1F", 1000.0, 0.5, -3, None, "", True, "5", "2024-01-01",
        float("inf"), "0o17",
    ]  # fmt: skip


def test_keys_stay_text() -> None:
    assert parse("{1: a, no: b, null: c}", "f").data == {"1": "a", "no": "b", "null": "c"}


def test_places() -> None:
    document = parse("a:\n  - b: 1\n    cc: [x, y]\n", "f.yaml")
    assert str(document.place(("a", 0, "cc"))) == "f.yaml:3:9"
    assert str(document.place(("a", 0, "cc"), key=True)) == "f.yaml:3:5"
    assert str(document.place(("a", 0, "cc", 1))) == "f.yaml:3:13"
    assert str(document.place(("a", 0, "not there"))) == "f.yaml:2:5"


def test_aliases_share_values() -> None:
    document = parse("a: &x {k: 1}\nb: *x\n", "f")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert str(document.place(("b",))) == "f:2:4"


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "f", "empty"),
        ("a: 1\na: 2", "f:2:1", "key 'a' stands twice, first on line 1"),
        ("[" * 100_000, "f:1:41", "nested more than"),  # libyaml's own composer ends the process here
        ("{a: " * 100_000, "f:1:161", "nested more than"),
        ("\n".join(" " * i + "a:" for i in range(2000)), "f:41:41", "nested more than"),
        (BOMB, "f:5:45", "aliases repeat more than"),
        ("a: &x [*x]", "f:1:8", "no finished anchor"),
        ("a: *x", "f:1:4", "finished anchor|undefined"),
        ("a: !!python/object/apply:os.system [x]", "f:1:4", "tag"),
        ("a: !!str 5", "f:1:4", "tag"),
        ("<<: {a: 1}", "f:1:1", "merge keys"),
        ("? [a]\n: 1", "f:1:3", "key must be a text"),
        ("a: 1\n---\nb: 2", "f:2:1", "second YAML document"),
        ("a: [1", "f:2:1|f:1:6", "not valid YAML"),
        ("a: b: c", "f:1:5", "not valid YAML"),
        ("a:\n\t- b", "f:2:1", "not valid YAML"),
        ("a: \x01", "f", "not valid YAML"),
        ("a: \ud800", "f", "not valid YAML"),
        ("a: " + "9" * 5000, "f:1:4", "too large"),
    ],
)
def test_refuses(text: str, place: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        parse(text, "f")
    assert str(caught.value.place).startswith(tuple(place.split("|")))


def test_alias_bomb_is_bounded() -> None:
    with at_most(1), pytest.raises(InputError):
        parse(BOMB * 1, "f")


def test_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked, "MAX_NODES", 100)
    with pytest.raises(InputError, match="more than 100 values"):
        parse("[" + "x," * 200 + "]", "f")


@pytest.mark.parametrize("text", ["a: [1, {b: c}]\n", "- &x 1\n- *x\n", "a: 1\na: 2\n"])
def test_pure_python_loader_agrees(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome() -> object:
        try:
            return parse(text, "f").data
        except InputError as error:
            return str(error)

    compiled = outcome()
    monkeypatch.setattr(marked, "_LOADER", yaml.SafeLoader)
    assert outcome() == compiled


@settings(deadline=None)
@given(st.text("ab:{}[],-&*!|>'\"#%@ \n\t?1.~<", max_size=60))
def test_garbage_raises_input_errors_only(text: str) -> None:
    with contextlib.suppress(InputError):
        parse(text, "f")


TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=8)
SCALAR = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(SCALAR | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@settings(deadline=None)
@given(DATA)
def test_reads_json(data: object) -> None:
    assert parse(json.dumps(data, ensure_ascii=False), "f").data == data


@settings(deadline=None)
@given(DATA)
def test_reads_what_emit_writes(data: object) -> None:
    if data is None or _holds_nothing(data):
        return
    assert parse(f"key: {emit.flow(cast(emit.Value, data))}", "f").data == {"key": data}


def _holds_nothing(data: object) -> bool:
    """emit writes no nulls: our files have none."""
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return data is None or any(_holds_nothing(item) for item in items)
