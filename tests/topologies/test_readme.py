"""The README's section on fabrics is what the code does."""

from __future__ import annotations

import re

import click
import pytest

from tests.topologies import readme
from topoplan.cli.import_ import command as import_command
from topoplan.topologies import catalog

TEXT = readme.README.read_text()
SECTION = TEXT.partition("\n## Fabrics\n")[2].partition("\n## ")[0]


def test_every_format_has_its_row() -> None:
    assert readme.shown() == readme.table(), "run: python -m tests.topologies.readme"


def test_every_option_of_import_has_its_row() -> None:
    names = [max(p.opts, key=len) for p in import_command.params if isinstance(p, click.Option)]
    missing = [name for name in names if name not in ("--help", "--out") and f"| `{name}" not in SECTION]
    assert not missing


def test_every_fabric_of_the_catalogue_is_named() -> None:
    assert [name for name in catalog.names() if f"`{name}`" not in SECTION] == []


@pytest.mark.parametrize("spec", sorted(set(re.findall(r"`([a-z0-9-]+:[a-z]+=[^`]*)`", SECTION))))
def test_specs_shown_are_understood(spec: str) -> None:
    name, parameters = catalog.parse_spec(spec)
    assert name in catalog.names()
    catalog.text(name, **parameters)


def test_specs_are_shown() -> None:
    assert re.search(r"`[a-z0-9-]+:[a-z]+=\d", SECTION)
