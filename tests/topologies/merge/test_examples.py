"""Any two files that can be read can be merged, or are refused with a reason."""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from tests.topologies.examples import EXAMPLES
from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.topologies import formats
from topoplan.topologies.merge import Part, merge
from topoplan.topologies.reading import HOST, NETWORK

FORMATS = sorted(EXAMPLES)


@cache
def part(name: str) -> Part:
    reader = next(reader for reader in formats.READERS if reader.name == name)
    named = HOST not in reader.tells or NETWORK in reader.tells
    return Part(f"{name}.txt", name, formats.read(EXAMPLES[name][0], name=f"{name}.txt"), reader.tells, named=named)


@pytest.mark.parametrize(
    ("first", "others"),
    [(name, FORMATS[n % 3 :: 3]) for n, name in enumerate(FORMATS)]  # its own kind among them
    + [pytest.param(name, FORMATS, marks=pytest.mark.slow) for name in FORMATS],
)
def test_any_two_formats(first: str, others: list[str]) -> None:
    merged = 0
    for second in others:
        parts = [part(first), part(second)]
        try:
            text = format_fabric(merge(parts))
        except InputError:
            with pytest.raises(InputError, match=r"\w+ \w+ \w+"):
                merge(parts[::-1])
            continue
        merged += 1
        assert format_fabric(merge(parts[::-1])) == text
        again = parse_fabric(text)
        named = {host.name for p in parts if p.named for host in p.fabric.hosts}
        assert {alias.lower() for alias in again.alias_index} >= {name.lower() for name in named}
    assert merged


def test_three_kinds_of_files_in_any_order() -> None:
    for names in itertools.combinations(
        ("slurm", "nvidia-smi", "fabric-clique", "ibnetdiscover", "lldp", "collected"), 3
    ):
        found = set()
        for order in itertools.permutations(names):
            try:
                found.add(format_fabric(merge([part(name) for name in order])))
            except InputError as error:
                found.add(str(error))
        assert len(found) == 1
