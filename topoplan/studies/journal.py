"""The journal of a sweep: a line for each finished scenario, so that a killed sweep goes on where it stopped.

A line is written with one call and ends with its own checksum; a line that was cut short is not taken for a result, nor
does it spoil the next one. Shards write journals of their own, so that they may share a folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from topoplan.errors import InputError, Place
from topoplan.files.inputs import unreadable
from topoplan.studies.outcome import ERROR, Outcome, from_record

_NAME = "journal"
_CHECK = 16  # hexadecimal digits of a line's checksum


def journal_name(shard: tuple[int, int] = (1, 1)) -> str:
    """File name of the journal of shard i of n."""
    i, n = shard
    return f"{_NAME}.jsonl" if n == 1 else f"{_NAME}-{i}-of-{n}.jsonl"


def read_journals(folders: Iterable[str | Path]) -> dict[str, Outcome]:
    """Outcome by key of every journal in the folders; lines that are not whole are left out.

    Raises
    ------
    InputError
        A journal that cannot be read.
    """
    found: dict[str, Outcome] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob(f"{_NAME}*.jsonl")):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise unreadable(str(path), error) from None
            for line in content.split(b"\n")[:-1]:  # what follows the last line break was cut short
                entry = _entry(line)
                if entry is not None:
                    found.setdefault(*entry)
    return found


def _entry(line: bytes) -> tuple[str, Outcome] | None:
    """Key and outcome of a line; None for one that is not whole."""
    body, _, check = line.rpartition(b" ")
    if not body or check != _checksum(body):
        return None
    try:
        data = json.loads(body)
        return str(data["key"]), from_record(data["outcome"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_CHECK].encode()


class Journal:
    """Open journal of a shard; a context manager that one sweep at a time may hold.

    Raises
    ------
    InputError
        The file cannot be written, or another sweep holds it.
    """

    def __init__(self, folder: str | Path, shard: tuple[int, int] = (1, 1)) -> None:
        self.path = Path(folder) / journal_name(shard)
        self._file = -1

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._file)
                raise InputError(
                    "another sweep is writing here",
                    place=Place(str(self.path)),
                    hint="wait for it, or use another --out",
                ) from None
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")  # ends the line that was cut short
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", place=Place(str(self.path))) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    def add(self, key: str, outcome: Outcome) -> None:
        """Write a finished scenario down; one that met a defect is tried again by the next sweep instead."""
        if outcome.status == ERROR:
            return
        body = json.dumps({"key": key, "outcome": outcome.record()}, allow_nan=False).encode()
        line = body + b" " + _checksum(body) + b"\n"
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", place=Place(str(self.path))) from None
        if written != len(line):
            raise InputError("cannot be written: the disk is full", place=Place(str(self.path)))
