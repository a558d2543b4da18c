"""Dependencies point one way: each room imports only the rooms below it, and siblings never import each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# room -> rooms it may import besides itself; errors, units and names are open to all
BELOW: dict[str, set[str]] = {
    "model": set(),
    "files": {"model"},
    "cost": {"model"},
    "topologies": {"model", "files"},
    "launchers": {"model", "files"},
    "experts": {"model", "files"},
    "solvers": {"model", "cost"},
    "planning": {"model", "files", "cost", "topologies", "launchers", "experts", "solvers"},
}
BELOW["studies"] = {*BELOW, "planning"}
BELOW["reports"] = {*BELOW, "studies"}
BELOW["cli"] = {*BELOW, "reports"}
BELOW["rendezvous"] = {"launchers"}  # a way in, as the command line is: torch loads it
OPEN = {"errors", "units", "names"}
SOURCES = sorted(
    path for top in ("topoplan", "solvers", "reports", "topologies") for path in (ROOT / top).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)  # fmt: skip


def _room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] != "topoplan" else parts[1].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Rooms of topoplan that a file imports anywhere."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "topoplan" else [f"topoplan.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("topoplan.")}
    return rooms - OPEN - {"__version__"}


def test_sources_are_found() -> None:
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    room = _room(path)
    if room in {"__init__", "__main__"}:
        return  # the public face re-exports from every room
    allowed = BELOW.get(room, set()) | {room}
    assert _imports(path) <= allowed
