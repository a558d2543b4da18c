"""Whatever stands in a file, every reader gives a Fabric or one InputError, detection included.

The tests run over the registry and over examples, so a new reader is covered as soon as it is listed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.topologies.examples import all_examples
from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.topologies import formats

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


def xml(root: str, body: str, doctype: str = "") -> str:
    return f'<?xml version="1.0"?>\n{doctype}<{root}>{body}</{root}>\n'


# Root elements of the XML formats that clusters have: the bombs must look like the real thing.
XML_ROOTS = ("system", "graphs", "topology", "hwloc", "netloc", "x")
# Keys that stand at the top of the JSON and YAML formats.
KEYS = ("Instances", "lldp", "switches", "topology", "nodes", "links", "apiVersion", "items", "instances", "tree", "x")
YAML_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def hostile(k: int) -> dict[str, str]:
    """Texts by what is wrong with them; the deep ones `k` levels deep, the long ones of up to 20 `k` characters."""
    return {
        **{
            f"entities in {root}": xml(root, "&l11;", f'<!DOCTYPE {root} [<!ENTITY l0 "ha">{LAUGHS}]>\n')
            for root in XML_ROOTS
        },
        **{
            f"one long entity in {root}": xml(
                root, "&a;" * (k // 5), f'<!DOCTYPE {root} [<!ENTITY a "{"b" * (k // 2)}">]>\n'
            )
            for root in XML_ROOTS
        },
        **{
            f"outside entity in {root}": xml(
                root, '<cpu numaid="&f;"/>', f'<!DOCTYPE {root} [<!ENTITY f SYSTEM "file:///etc/passwd">]>\n'
            )
            for root in XML_ROOTS
        },
        **{f"deep XML in {root}": xml(root, "<pci>" * k + "</pci>" * k) for root in XML_ROOTS},
        **{f"cut XML in {root}": f"<{root}><cpu>" for root in XML_ROOTS},
        **{f"deep JSON under {key}": f'{{"{key}": ' + "[" * k + "]" * k + "}" for key in KEYS},
        **{f"deep JSON objects under {key}": f'{{"{key}": ' * k + "1" + "}" * k for key in KEYS},
        **{f"cut JSON under {key}": f'{{"{key}": [{{' for key in KEYS},
        **{f"twice {key}": f'{{"{key}": [], "{key}": {{}}}}' for key in KEYS},
        **{f"alias bomb under {key}": f"{YAML_BOMB}{key}: *i\n" for key in KEYS},
        **{f"deep YAML under {key}": f"{key}: " + "[" * k for key in KEYS},
        **{
            f"deep YAML blocks under {key}": f"{key}:\n" + "".join(" " * n + "- \n" for n in range(1, 1000 + k // 200))
            for key in KEYS
        },
        **{f"self under {key}": f"{key}: &a [*a]\n" for key in KEYS},
        **{f"tags under {key}": f"{key}: !!python/object/apply:os.system ['true']\n" for key in KEYS},
        **{f"scalar under {key}": json.dumps({key: 1e308}) for key in KEYS},
        **{f"null under {key}": f"{key}:\n" for key in KEYS},
        # what a pattern that looks too far ahead takes minutes for
        **{f"many {char!r}": char * k for char in '\n \t",:=[{<#|-1a.'},
        **{
            f"lines of {word!r}": f"{word}\n" * (k // 2) for word in ('"', ":", "- ", "a b", "a: b", "a,b", "GPU0 GPU1")
        },
        "nothing": "",
        "white space": " \n\t\r\n",
        "NUL": "SwitchName=a\0 Nodes=n1\n",
        "one long line": "GPU0 " * (2 * k),
        "long word": "a" * (20 * k),
        "brackets": "[" * (10 * k),
        "many lines": "x,y\n" * (2 * k),
        "control characters": "".join(map(chr, range(1, 32))) * 50,
        "surrogates": "SwitchName=\ud800 Nodes=\udfff\n",
        "not UTF-8": b"SwitchName=\xff\xfe Nodes=\xc3\x28\n".decode("utf-8", "replace"),
        "direction marks": "SwitchName=a\u202eb Nodes=n\u200b1\n",
        "other digits": "SwitchName=a Nodes=n[\u0661-\u0663]\n",
        "huge list": "SwitchName=a Nodes=n[0-999999999]\n",
        "multiplied lists": "SwitchName=a Nodes=" + "n" + "[0-99]" * 12 + "\n",
        "huge number": "SwitchName=a Nodes=n[" + "9" * 5000 + "-" + "9" * 5001 + "]\n",
    }


FULL, THIN = 100_000, 10_000  # the second is still ten times as deep as Python's stack
_hostile = functools.cache(hostile)


def check(text: str, format_name: str | None = None) -> None:
    """Whatever a reader makes of `text` can be written as Fabric YAML and read again; only InputError may come out."""
    with contextlib.suppress(InputError):
        fabric = formats.read(text, name="dir/file.txt", format=format_name)
        parse_fabric(format_fabric(fabric))


@pytest.mark.parametrize("k", [THIN, pytest.param(FULL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", [reader.name for reader in formats.READERS])
def test_hostile_texts(reader: str, k: int) -> None:
    for text in _hostile(k).values():
        check(text, reader)


@pytest.mark.parametrize("k", [THIN, pytest.param(FULL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", sorted(hostile(1)))
def test_detection_of_hostile_texts(case: str, k: int) -> None:
    text = _hostile(k)[case]
    for reader in formats.READERS:
        assert reader.sniff(text) in (True, False)
    check(text)


# ---- damaged examples ------------------------------------------------------------------------------------------------

EXAMPLE_CASES = [pytest.param(name, text, id=f"{name}-{i}") for i, (name, text) in enumerate(all_examples())]
BAD_VALUES = (
    *("", "0", "-1", "1e308", "-1e308", "NaN", "nan", "Infinity", "1" * 400, "0x", "999999999999", "[", '"', "null"),
    *("n[0-999999999]", "true", "{}", "[]", "a" * 5000, "../../etc/passwd", "$(reboot)", "-rf", "\u00e9", "\ud800"),
    *("\0", "\x1b[4m"),
)  # fmt: skip
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z_][\w-]*")


def replace_one(pattern: re.Pattern[str], text: str, number: int, value: str) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    start, end = found[number % len(found)].span()
    return text[:start] + value + text[end:]


def drop_line(text: str, number: int) -> str:
    rows = text.split("\n")
    del rows[number % len(rows)]
    return "\n".join(rows)


def double_line(text: str, number: int) -> str:
    rows = text.split("\n")
    rows.insert(number % len(rows), rows[number % len(rows)])
    return "\n".join(rows)


def change_character(text: str, number: int) -> str:
    at = number % (len(text) + 1)
    return text[:at] + '\t"[]{}<>&*:,=#\r\0\x1b'[number % 17] + text[at + 1 :]


def swap_words(text: str, number: int) -> str:
    """One name in the place of another: makes duplicates, cycles and dangling names."""
    words = [match[0] for match in _WORD.finditer(text)]
    return replace_one(_WORD, text, number, words[number * 7 % len(words)]) if words else text


WAYS: dict[str, Callable[[str, int], str]] = {
    "cut": lambda text, n: text[: n % (len(text) + 1)],
    "cut off": lambda text, n: text[n % (len(text) + 1) :],
    "no line": drop_line,
    "line twice": double_line,
    "words": swap_words,
    "all twice": lambda text, n: text + text,
    "number": lambda text, n: replace_one(_NUMBER, text, n, BAD_VALUES[n % len(BAD_VALUES)]),
    "every number": lambda text, n: _NUMBER.sub(lambda _: BAD_VALUES[n % len(BAD_VALUES)], text),
    "word": lambda text, n: replace_one(_WORD, text, n, BAD_VALUES[n % len(BAD_VALUES)]),
    "character": change_character,
    "CR": lambda text, n: text.replace("\n", "\r"),
    "upper": lambda text, n: text.upper(),
    "indented": lambda text, n: text.replace("\n", "\n" + " " * (n % 9)),
}  # fmt: skip


@pytest.mark.parametrize("step", [70, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "text"), EXAMPLE_CASES)
def test_damaged_examples(name: str, text: str, step: int) -> None:
    for change in WAYS.values():
        for number in range(0, 7 * 29, step):
            check(change(text, number), name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    example=st.sampled_from(all_examples()),
    steps=st.lists(st.tuples(st.sampled_from(sorted(WAYS)), st.integers(0, 10_000)), min_size=1, max_size=4),
    forced=st.booleans(),
)
def test_fuzzed_examples(example: tuple[str, str], steps: list[tuple[str, int]], forced: bool) -> None:
    name, text = example
    for way, number in steps:
        text = WAYS[way](text, number)
    check(text, name if forced else None)


@settings(max_examples=60, deadline=None)
@given(
    reader=st.sampled_from([reader.name for reader in formats.READERS]),
    text=st.one_of(st.text(max_size=200), st.sampled_from(BAD_VALUES)),
)
def test_any_text(reader: str, text: str) -> None:
    check(text, reader)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(InputError):
        check(formats.decode(data, "x"))
