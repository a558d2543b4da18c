"""--set: which keys there are, who takes them, and that no value runs anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.launchers import LAUNCHERS, SETTINGS, LaunchFile, LaunchRequest, get_launcher, parse_settings, settings_of
from topoplan.model.placement import RankPlacement

EVERY_MPI = "(Open MPI) HYDRA build details Intel(R) MPI Library"  # what scripts look for in --version
HOSTILE = [
    "$(touch hit)", "`touch hit`", "; touch hit;", "'; touch hit; '", '"; touch hit; "', "a' 'b", "&& touch hit",
    "@RANKS@", "%d %s", "{0}", "END_OF_HOSTS", "--help", "*", "${IFS}", "#", "\\",
]  # fmt: skip


def test_every_key_is_a_field_and_every_launcher_takes_known_keys() -> None:
    assert set(SETTINGS) <= set(LaunchRequest.__dataclass_fields__)
    for launcher in LAUNCHERS.values():
        assert set(launcher.settings) <= set(SETTINGS), launcher.name


def test_values_are_parsed() -> None:
    texts = ["master_port=1234", "program=python -u 'my train.py'", "nccl_topo_file=/etc/topo.xml", "master_port=1235"]
    assert parse_settings(texts, SETTINGS) == {
        "master_port": 1235,
        "program": ("python", "-u", "my train.py"),
        "nccl_topo_file": "/etc/topo.xml",
    }


@pytest.mark.parametrize(
    ("text", "known", "message"),
    [
        ("master_port", SETTINGS, "not KEY=VALUE"),
        ("masterport=1", SETTINGS, "did you mean 'master_port'?"),
        ("image=x", ("program",), "'image' is not taken by this launcher"),
        ("image=x", (), "it takes none"),
        ("master_port=0", SETTINGS, "a whole number from 1 to 65535"),
        ("master_port=１２", SETTINGS, "a whole number"),
        ("cores_per_host=-1", SETTINGS, "a whole number"),
        ("program=", SETTINGS, "give a command"),
        ("program='a", SETTINGS, "No closing quotation"),
        ("program=a\nb", SETTINGS, "control characters"),
        ("nccl_topo_file=x", SETTINGS, "absolute path"),
        ("nccl_topo_file=/a\nb", SETTINGS, "control characters"),
        ("mixed_precision=fp4", SETTINGS, "no or fp16"),
        ("namespace=A_b", SETTINGS, "DNS label"),
        ("namespace=a\n", SETTINGS, "DNS label"),
        ("image=-x", SETTINGS, "an image"),
        ("image=a b", SETTINGS, "an image"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, known: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings([text], known)
    assert message in str(caught.value)


def test_settings_of_several_launchers_are_those_that_any_takes() -> None:
    assert settings_of(["rankmap"]) == ()
    assert {"program", "cores_per_host"} <= set(settings_of(["torchrun", "openmpi"]))


def values_of(name: str, text: str) -> dict[str, object]:
    """Every textual key that the launcher takes, set to `text`; the checks of `parse_settings` left out."""
    values = {"program": ("printf", "%s", text), "nccl_topo_file": f"/{text}"}
    return {key: value for key, value in values.items() if key in get_launcher(name).settings}


@pytest.mark.parametrize("name", list(LAUNCHERS))
@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_runs_anything(
    name: str,
    text: str,
    whole_hosts: RankPlacement,
    write_all: Callable[[Mapping[str, LaunchFile]], Path],
) -> None:
    """Each script runs with every program that it could start replaced by one that shows its last argument."""
    folder = write_all(get_launcher(name).write(LaunchRequest(whole_hosts, text, **values_of(name, text))))  # type: ignore[arg-type]
    tools = folder / "tools"
    tools.mkdir()
    shown = 'for last; do :; done; case $last in */program) last=$("$last") ;; esac; printf "[%s]" "$last"'
    for tool in (
        "mpirun",
        "mpiexec",
        "torchrun",
        "srun",
        "deepspeed",
        "accelerate",
        "mpiexec.hydra",
        "python3",
        "dlrover-run",
        "pdsh",
    ):
        version = f'case " $* " in *" --version "*) echo "{EVERY_MPI}"; exit 0;; esac'
        (tools / tool).write_text(f"#!/bin/sh\n{version}\n{shown}\n")
        (tools / tool).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "TOPOPLAN_HOST": "h6"}
    for file in sorted(folder.glob("run*")):
        result = subprocess.run([file], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=20)
        assert f"[{text}]" in result.stdout, (file, result)
    if (folder / "topoplan-env").exists() and "nccl_topo_file" in get_launcher(name).settings:
        env |= dict.fromkeys(("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"), "0")
        command = [str(folder / "topoplan-env"), "printenv", "NCCL_TOPO_FILE"]
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=20)
        assert result.stdout == f"/{text}\n", result
    assert not list(folder.rglob("hit"))


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=12))
def test_any_program_comes_back_word_for_word(text: str) -> None:
    try:
        values = parse_settings([f"program={text}"], ("program",))
    except InputError:
        return
    from topoplan.launchers.shell import default_arguments

    script = default_arguments(values["program"]) + 'printf "%s\\n" "$@"'
    result = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=20)
    assert result.stdout.decode() == "".join(f"{word}\n" for word in values["program"])
