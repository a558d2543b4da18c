"""Every file of every launcher, whatever it is asked for: clean shell, valid Python, a head that says what it is."""

from __future__ import annotations

import ast

import pytest

from tests.launchers.requests import variants
from tests.shells import STRICT, complaints
from topoplan.launchers import LAUNCHERS
from topoplan.launchers.probe import probe_files

SHELL, PYTHON = "#!/bin/sh\n", "#!/usr/bin/env python3\n"
WITHOUT_SHELL = {"ray", "devicemesh", "rankmap"}  # Python and tables alone
KINDS = {name for name, launcher in LAUNCHERS.items() if f"{name}/{name}.yaml" in launcher.hints[0]}
NO_HEAD = "rankmap.csv"  # plain for every CSV reader; rankmap.json beside it says what it is


@pytest.mark.parametrize("name", list(LAUNCHERS))
def test_every_shell_file_passes_shellcheck(name: str) -> None:
    scripts = {}
    for variant, request in variants(name):
        files = LAUNCHERS[name].write(request)
        shell = {file: made.text for file, made in files.items() if made.text.startswith(SHELL)}
        some = sorted(shell)[:: max(1, len(shell) // 8)]  # of a thousand alike, eight
        scripts.update({f"{variant}-{file}": shell[file] for file in some})
    assert not scripts or complaints(scripts, *STRICT) == ""
    assert bool(scripts) == (name not in WITHOUT_SHELL | KINDS)


def test_the_shell_probe_passes_shellcheck() -> None:
    scripts = {name: file.text for name, file in probe_files().items() if file.text.startswith(SHELL)}
    assert scripts
    assert complaints(scripts, *STRICT) == ""


@pytest.mark.parametrize("name", list(LAUNCHERS))
def test_every_python_file_is_python_3_8(name: str) -> None:
    for _, request in variants(name):
        for file, made in LAUNCHERS[name].write(request).items():
            if file.endswith(".py"):
                ast.parse(made.text, feature_version=(3, 8))


@pytest.mark.parametrize("name", list(LAUNCHERS))
def test_every_file_says_who_uses_it_and_what_reorders_it(name: str) -> None:
    """In comments before anything else; JSON has no comments, so a key says it."""
    for variant, request in variants(name):
        for file, made in LAUNCHERS[name].write(request).items():
            if file == NO_HEAD:
                continue
            told = head(made.text).lower()
            assert any(words in told for words in ("used by", "used beside", "used instead", "used as", "start")), file
            assert "order" in told, (variant, file)
            assert made.executable == made.text.startswith("#!"), file


def head(text: str) -> str:
    """Comment lines that a file begins with, behind the line for the kernel, as one line."""
    lines = text.removeprefix(SHELL).removeprefix(PYTHON).splitlines()
    if lines[0] == "{":
        return next((line for line in lines if line.strip().startswith(('"comment"', '"# comment"'))), "")
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.lstrip("# ") for line in lines[:end])


def test_a_file_without_a_head_would_be_found() -> None:
    assert head("#!/bin/sh\nset -eu\n# used by\n") == ""
    assert head('{\n  "x": 1\n}') == ""
