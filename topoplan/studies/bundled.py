"""Studies that come with topoplan: questions of planners, each with the rule that answers it."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from topoplan.errors import InputError, Place
from topoplan.names import closest
from topoplan.studies.answers import RULES
from topoplan.studies.model import Study
from topoplan.studies.read import Instead, parse_study, read_study


def names() -> tuple[str, ...]:
    """Names of all bundled studies, sorted."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml")))


def text(name: str) -> str:
    """YAML of a bundled study."""
    return _folder().joinpath(f"{name}.yaml").read_text("utf-8")


def open_study(spec: str, instead: Instead | None = None) -> Study:
    """Study of a file, of "-", or bundled under that name.

    Raises
    ------
    InputError
        Neither a file nor a bundled study, or a file that is not a Study.
    """
    if spec in names() and not Path(spec).exists():
        return parse_study(text(spec), f"{spec}.yaml", questions=tuple(RULES), instead=instead)
    if spec != "-" and not _exists(spec):
        hint = closest(spec, names()) or f"bundled studies: {', '.join(names())}"
        raise InputError("no such file, and no bundled study of that name", place=Place(spec), hint=hint)
    return read_study(spec, tuple(RULES), instead)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _folder() -> Traversable:
    return resources.files("topoplan.studies") / "questions"
