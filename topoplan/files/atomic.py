"""Files and folders that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from topoplan.errors import InputError, Place

MARKER = "plan.json"  # a folder that holds one is ours to replace
OWNED = (MARKER, "run.json", "inputs", "launch", "experts", "report.html", "report.pdf")


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a file whole, making the folders above it; an existing file is replaced.

    Raises
    ------
    InputError
        The operating system refuses.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(_bytes(content))  # a device or pipe: nothing to rename onto
            return
        target = target.resolve()  # a link keeps pointing at the file
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = _beside(target)
        try:
            beside.write_bytes(_bytes(content))
            if target.exists():
                beside.chmod(target.stat().st_mode & 0o7777)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None


def write_folder(
    folder: str | Path,
    files: Mapping[str, str | bytes],
    *,
    executable: Collection[str] = (),
    owned: Collection[str] = OWNED,
) -> None:
    """Write the files of a plan folder, all or none.

    Everything is written to a folder beside first, so a full disk or a refused write changes nothing. In an existing
    plan folder the entries named in `owned` are then replaced, or removed when the new plan has none; whatever else
    the user put there stays.

    Parameters
    ----------
    files
        Content by relative path with "/" between its parts.
    executable
        Paths of `files` that get the execute permission.

    Raises
    ------
    InputError
        The folder holds something that is not a plan, or the operating system refuses.
    """
    try:
        target = Path(folder).resolve()
        check_replaceable(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = _beside(target)
        try:
            _stage(staged, files, executable)
            if target.exists():
                _swap(target, staged, owned)
            else:
                staged.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except (OSError, ValueError) as error:
        raise _refused(folder, error) from None


def check_replaceable(folder: str | Path) -> None:
    """Refuse with InputError a folder that `write_folder` would not write to because of what is there."""
    target = Path(folder).resolve()
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError("is a file; a folder is needed", place=Place(str(folder)))
    if any(target.iterdir()) and not (target / MARKER).is_file():
        raise InputError(
            f"is not empty and holds no {MARKER}, so it is not replaced",
            place=Place(str(folder)),
            hint="name a new folder, or empty this one",
        )


def _stage(staged: Path, files: Mapping[str, str | bytes], executable: Collection[str]) -> None:
    staged.mkdir()
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise ValueError(f"{name!r} leaves the folder")
        path = staged.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(content))
        if name in executable:
            path.chmod(path.stat().st_mode | 0o111 & ~_umask())


def _swap(target: Path, staged: Path, owned: Collection[str]) -> None:
    """Move the old entries out and the new ones in, the marker last; undo it all when a step fails."""
    new = sorted((entry.name for entry in staged.iterdir()), key=lambda name: (name == MARKER, name))
    old = sorted({entry.name for entry in target.iterdir()} & {*owned, *new})
    aside = _beside(target)
    aside.mkdir()
    done: list[tuple[Path, Path]] = []
    try:
        for source, destination, names in ((target, aside, old), (staged, target, new)):
            for name in names:
                (source / name).rename(destination / name)
                done.append((source / name, destination / name))
    except BaseException:  # an interrupt too must leave the old plan
        for before, after in reversed(done):
            after.rename(before)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name[:100]}.{secrets.token_hex(6)}.tmp"


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _refused(path: str | Path, error: OSError | ValueError) -> InputError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(f"cannot be written: {reason}", place=Place(str(path)))
