"""Each format is found by content, and no reader takes another's file."""

from __future__ import annotations

import pytest

from tests.topologies.examples import EXAMPLES, all_examples
from topoplan.topologies import formats

CONTAINERS = frozenset(("collected",))  # formats that hold texts of others; the registry asks them first
CASES = [pytest.param(name, text, id=f"{name}-{i}") for i, (name, text) in enumerate(all_examples())]


def test_every_reader_has_an_example() -> None:
    missing = {reader.name for reader in formats.READERS} - EXAMPLES.keys()
    assert not missing, f"add small valid texts of {sorted(missing)} to tests/topologies/examples"
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("name", "text"), CASES)
def test_only_its_own_reader_takes_a_text(name: str, text: str) -> None:
    takers = [reader.name for reader in formats.READERS if reader.sniff(text)]
    assert takers[:1] == [name]
    assert takers == [name] or name in CONTAINERS
    assert formats.detect(text).name == name


@pytest.mark.parametrize(("name", "text"), CASES)
def test_line_ends_and_byte_order_marks_change_nothing(name: str, text: str) -> None:
    plain = formats.read(text, name="x")
    for other in (text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode()):
        decoded = formats.decode(other, "x")
        assert formats.detect(decoded).name == name
        found = formats.read(decoded, name="x")
        assert found.hosts == plain.hosts
        assert (found.host_types, found.groups, found.islands, found.links, found.tiers) == (
            plain.host_types, plain.groups, plain.islands, plain.links, plain.tiers
        )  # fmt: skip
