import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory import at_most
from topoplan import names
from topoplan.errors import InputError

HOST = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-[0-2]", ["node-0", "node-1", "node-2"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("a[1-2]b[01,05],c", ["a1b01", "a1b05", "a2b01", "a2b05", "c"]),
        ("a b,c", ["a", "b", "c"]),
        ("[1-2]x", ["1x", "2x"]),
        ("", []),
    ],
)
def test_expand(text: str, expected: list[str]) -> None:
    assert names.expand(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("node-[0-2", "brackets"),
        ("node-]0[", "brackets"),
        ("node-[[0]]", "brackets"),
        ("node-[]", "list of numbers"),
        ("node-[a-b]", "list of numbers"),
        ("node-[3-1]", "backwards"),
        ("node-[0-99999999]", "more than"),
        ("a[0-2000]b[0-2000]", "more than"),
        ("node;reboot", "refused"),
        ("$(reboot)", "refused"),
        ("-oProxyCommand", "refused"),
        ("x" * 300, "longer than"),
        ("x" * 1000 + "[1-1000000]", "longer than"),  # would be a gigabyte
        ("n[" + "0" * 1000 + "1-2000000]", "digits"),
        ("[1]" * 100_000, "longer than"),
    ],
)
def test_expand_refuses(text: str, problem: str) -> None:
    with at_most(8), pytest.raises(ValueError, match=problem):
        names.expand(text)


@settings(deadline=None)
@given(st.lists(HOST, max_size=30))
def test_compress_reads_back(listed: list[str]) -> None:
    assert names.expand(names.compress(listed)) == listed


@settings(deadline=None)
@given(st.text("n-", max_size=3), st.integers(0, 10**19), st.integers(1, 50), st.integers(0, 21))
def test_compress_reads_back_runs(stem: str, first: int, count: int, width: int) -> None:
    listed = [f"h{stem}{str(first + i).zfill(width)}" for i in range(count)]
    assert names.expand(names.compress(listed)) == listed


def test_compress_is_short() -> None:
    assert names.compress([f"node-{i}" for i in range(131072)]) == "node-[0-131071]"
    assert names.compress(["n08", "n09", "n10"]) == "n[08-10]"
    assert names.compress(["n9", "n10", "m1", "m3"]) == "n[9-10],m1,m3"


def test_natural_order() -> None:
    assert sorted(["node-10", "node-9", "node-9a", "rack2"], key=names.natural_key) == [
        "node-9", "node-9a", "node-10", "rack2"
    ]  # fmt: skip
    names.natural_key("x²")  # a digit to str.isdigit, but not to int


def test_closest_among_many() -> None:
    known = [f"node-{i}" for i in range(200_000)]
    assert "node-1999" in names.closest("node-1999991", known)
    assert names.closest("switch", known) == ""


def test_pick_names_the_likeliest_and_all() -> None:
    known = {"sglang": 1, "vllm": 2}
    assert names.pick("map", "vllm", known) == 2
    with pytest.raises(InputError, match="map 'sglag' is not known") as raised:
        names.pick("map", "sglag", known)
    assert raised.value.hint == "did you mean 'sglang'? known: sglang, vllm"
    with pytest.raises(InputError) as raised:
        names.pick("map", "quite another", known)
    assert raised.value.hint == "known: sglang, vllm"
