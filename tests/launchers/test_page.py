"""docs/launchers.md, and what other pages show of launchers, is what the code does."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from tests.launchers.page import PAGE, PART, VERIFIED, table
from tests.pages import PAGES, ROOT, part
from topoplan.cli.export import command as export_command
from topoplan.cli.verify import command as verify_command
from topoplan.launchers import LAUNCHERS, SETTINGS
from topoplan.launchers.probe import probe_files

TEXT = PAGE.read_text()
COMMANDS = {"export": export_command, "verify": verify_command}
SHOWN = re.compile(r"^topoplan (?:export|verify) [^#&|>\n]*", re.MULTILINE)
LINES = [line for page in PAGES for line in SHOWN.findall(page.read_text())]


def test_every_launcher_has_its_row() -> None:
    assert part(PAGE, PART) == table(), "run: python -m tests.launchers.page"


def test_what_verifies_a_launcher_is_there() -> None:
    assert set(VERIFIED) == set(LAUNCHERS)
    for name, (_, test) in VERIFIED.items():
        path = ROOT / "tests" / test
        assert path.exists(), name
        if test.startswith("lab/"):
            assert f'"{name}"' in path.read_text(), name


@pytest.mark.parametrize("line", LINES)
def test_commands_shown_are_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    context = click.Context(COMMANDS[name])
    values = COMMANDS[name].make_parser(context).parse_args(words)[0]
    assert values.get("launcher") in (None, *LAUNCHERS, "sglang", "vllm", "trtllm", "eplb")
    assert {text.partition("=")[0] for text in values.get("settings") or ()} <= set(SETTINGS)


def test_shim_probe_and_verify_are_shown() -> None:
    assert "--launcher shim" in TEXT
    assert any("--probe" in line for line in LINES)
    assert any("verify" in line and "--observed" in line for line in LINES)
    for file in (*probe_files(), "topoplan_shim.py", "plan.sbatch", "topoplan_mesh"):
        assert file in TEXT, file
