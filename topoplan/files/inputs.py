"""Bytes and text of input files, bounded, with their SHA-256."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from topoplan.errors import InputError, Place

MAX_TEXT_BYTES = 64 * 2**20
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """What an input file held.

    Parameters
    ----------
    path
        As the user named it; "-" is standard input.
    content
        All bytes of the file.
    """

    path: str
    content: bytes

    @property
    def shown(self) -> str:
        """Name for messages."""
        return "<stdin>" if self.path == STDIN else self.path

    @property
    def name(self) -> str:
        """File name without its folder, as plans record it."""
        return "stdin" if self.path == STDIN else Path(self.path).name

    @property
    def folder(self) -> Path:
        """Folder that relative paths inside the file start from."""
        return Path() if self.path == STDIN else Path(self.path).parent

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def text(self) -> str:
        """The bytes as UTF-8; InputError at the first that is not."""
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            before = self.content[: error.start]
            line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
            raise InputError(
                f"byte {self.content[error.start]:#04x} is not UTF-8 text",
                place=Place(self.shown, line, column),
                hint="is this a text file?",
            ) from None


def read_source(path: str | Path, *, limit: int = MAX_TEXT_BYTES) -> Source:
    """Content of a file, or of standard input for "-".

    Raises
    ------
    InputError
        A file that is missing, cannot be read, or is larger than `limit` bytes.
    """
    name = str(path)
    source = Source(name, b"")
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise unreadable(source.shown, error) from None
    if len(content) > limit:
        raise InputError(f"larger than {limit // 2**20} MiB", place=Place(source.shown))
    return Source(name, content)


def unreadable(path: str, error: OSError | ValueError) -> InputError:
    """InputError for a file that the operating system would not give."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(f"cannot be read: {reason}", place=Place(path))
