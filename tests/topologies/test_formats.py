"""Finding the reader by content, and bytes to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.topologies import formats, reading


def test_detect(make_clos: Callable[..., Any]) -> None:
    assert formats.detect(make_clos().text()).name == "ibnetdiscover"
    assert formats.detect("# comment\r\nswitchname = x nodes=a\r\n").name == "slurm"
    with pytest.raises(InputError, match=r"f\.txt: no known topology format"):
        formats.detect("hello", path="f.txt")


def test_unknown_format_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'slurm'"):
        formats.read("", format="slurmm")


def test_errors_name_the_file() -> None:
    with pytest.raises(InputError, match=r"^x/y\.conf"):
        formats.read("SwitchName=a Switches=b\n", name="x/y.conf")


def test_decode() -> None:
    assert formats.decode(b"\xef\xbb\xbfabc", "f") == "abc"
    assert formats.decode(b"n\xff", "f") == "n\ufffd"
    with pytest.raises(InputError, match="not a text file"):
        formats.decode(b"\x7fELF\0", "f")


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CHARS", 5)
    with pytest.raises(InputError, match="more than any fabric"):
        formats.decode(b"123456", "f")
    with pytest.raises(InputError, match="more than any fabric"):
        list(reading.lines("123456", "f"))


def test_names_are_unique() -> None:
    names = [reader.name for reader in formats.READERS]
    assert len(set(names)) == len(names)
    assert all(reader.description for reader in formats.READERS)
