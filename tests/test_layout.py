"""The packaging lists every package, and the links that let type checkers see the mapped ones resolve."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAPPED = ("solvers", "reports", "topologies")


def _found() -> set[str]:
    found = set()
    for top in ("topoplan", *MAPPED):
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            if not any((ROOT.joinpath(*parts[: i + 1])).is_symlink() for i in range(len(parts))):
                found.add(".".join(parts if top == "topoplan" else ("topoplan", *parts)))
    return found


def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(_found()) == sorted(listed)


@pytest.mark.parametrize("name", MAPPED)
def test_links_resolve(name: str) -> None:
    link = ROOT / "topoplan" / name
    assert link.is_symlink()
    assert link.resolve() == ROOT / name


def test_top_level_holds_nothing_else() -> None:
    allowed = {"pyproject.toml", "topoplan", "topologies", "solvers", "reports", "tests", "README.md"}
    passing = {"build", "dist", "topoplan.egg-info"}  # left by builds, ignored by git
    assert {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - passing <= allowed
