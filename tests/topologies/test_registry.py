"""Finding the reader by content, and bytes to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from topoplan.errors import InputError
from topoplan.topologies import readers
from topoplan.topologies.readers import base


def test_detect(make_clos: Callable[..., Any]) -> None:
    assert readers.detect(make_clos().text()).name == "ibnetdiscover"
    assert readers.detect("# comment\r\nswitchname = x nodes=a\r\n").name == "slurm"
    with pytest.raises(InputError, match=r"f\.txt: no known topology format"):
        readers.detect("hello", path="f.txt")


def test_unknown_format_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'slurm'"):
        readers.read("", format="slurmm")


def test_errors_name_the_file() -> None:
    with pytest.raises(InputError, match=r"^x/y\.conf"):
        readers.read("SwitchName=a Switches=b\n", name="x/y.conf")


def test_decode() -> None:
    assert readers.decode(b"\xef\xbb\xbfabc", "f") == "abc"
    assert readers.decode(b"n\xff", "f") == "n\ufffd"
    with pytest.raises(InputError, match="not a text file"):
        readers.decode(b"\x7fELF\0", "f")


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_CHARS", 5)
    with pytest.raises(InputError, match="more than any fabric"):
        readers.decode(b"123456", "f")
    with pytest.raises(InputError, match="more than any fabric"):
        list(base.lines("123456", "f"))


def test_names_are_unique() -> None:
    names = [reader.name for reader in readers.READERS]
    assert len(set(names)) == len(names)
    assert all(reader.description for reader in readers.READERS)
