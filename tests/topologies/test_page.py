"""docs/fabrics.md is what the code does."""

from __future__ import annotations

import re

import click
import pytest

from tests.pages import part
from tests.topologies.page import PAGE, PART, table
from topoplan.cli.import_ import command as import_command
from topoplan.topologies import catalog

TEXT = PAGE.read_text()


def test_every_format_has_its_row() -> None:
    assert part(PAGE, PART) == table(), "run: python -m tests.topologies.page"


def test_every_option_of_import_has_its_row() -> None:
    names = [max(p.opts, key=len) for p in import_command.params if isinstance(p, click.Option)]
    missing = [name for name in names if name not in ("--help", "--out") and f"| `{name}" not in TEXT]
    assert not missing


def test_every_fabric_of_the_catalogue_is_named() -> None:
    assert [name for name in catalog.names() if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("spec", sorted(set(re.findall(r"`([a-z0-9-]+:[a-z]+=[^`]*)`", TEXT))))
def test_specs_shown_are_understood(spec: str) -> None:
    name, parameters = catalog.parse_spec(spec)
    assert name in catalog.names()
    catalog.text(name, **parameters)


def test_specs_are_shown() -> None:
    assert re.search(r"`[a-z0-9-]+:[a-z]+=\d", TEXT)
