"""Text that ends up in shell scripts and commented files."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence

_SLOT = re.compile(r"@([A-Z_]+)@")


def comment(paragraphs: Iterable[str]) -> str:
    """The paragraphs as `#` comments, each wrapped, with a final newline; one that is indented stays a line."""
    lines = [
        line
        for text in paragraphs
        for line in ([text] if text.startswith(" ") else textwrap.wrap(text, 110, break_on_hyphens=False))
    ]
    return "".join(f"# {line}\n" for line in lines)


def fill(template: str, values: Mapping[str, str | int]) -> str:
    """Put values into the @NAME@ slots of a shell template: quoted, except for text that already is shell.

    A slot named ..._TEXT takes its value as it stands; every other one is quoted as one word.
    """

    def value(match: re.Match[str]) -> str:
        text = str(values[match[1]])
        return text if match[1].endswith("_TEXT") else shlex.quote(text)

    return _SLOT.sub(value, template)


def default_arguments(program: Sequence[str], usage: str = "") -> str:
    """Shell lines for a script without arguments: it runs `program`, else prints its usage (quoted text) and stops."""
    if program:
        act = f"    set -- {shlex.join(program)}\n"
    elif usage:
        act = f'    echo "usage: {usage}" >&2\n    exit 2\n'
    else:
        return ""
    return f"if [ $# -eq 0 ]; then\n{act}fi\n"


def words(line: str) -> list[str]:
    """Words of a line of a hostfile-like file, without its comment."""
    return line.split("#", 1)[0].split()
