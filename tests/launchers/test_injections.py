"""No name and no value runs anything: files are written with hostile ones, and run with stubs for every tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from topoplan.errors import InputError
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.launchers import LAUNCHERS, SETTINGS, LaunchFile, LaunchRequest, kubernetes, parse_settings
from topoplan.model.job import CustomAxis, Job
from topoplan.model.placement import RankPlacement

Write = Callable[[Mapping[str, LaunchFile]], Path]
EVERY_MPI = "(Open MPI) HYDRA build details Intel(R) MPI Library"  # what scripts look for in --version
TOOLS = ("mpirun", "mpiexec", "mpiexec.hydra", "torchrun", "srun", "deepspeed", "accelerate", "dlrover-run", "pdsh")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
# `touch hit` would leave a file, wherever it ran.
SHELL = [
    "$(touch hit)", "`touch hit`", "; touch hit;", "'; touch hit; '", '"; touch hit; "', "@RANKS@", "%d %s",
    "END_OF_HOSTS", "--help", "*", "${IFS}", "#", "\\'", '\"\"\"; import os; os.system("touch hit") #',
]  # fmt: skip
HOSTILE = [*SHELL, "{0}", "| touch hit", "{{x}}", "- a: b", "!!python/object/apply:os.system ['touch hit']", "1e5", "~"]
BROKEN = ["a\ntouch hit", "a\x00b", "a\rb", "\x1b[2J", "a\u2028b"]
KINDS = {launcher.name for launcher in kubernetes.LAUNCHERS}


@pytest.fixture
def world(whole_hosts: RankPlacement, tmp_path: Path, write_all: Write) -> Callable[[str, str], tuple[Path, Path]]:
    """Folder of a launcher's files in which every name and value that may be hostile is, and one of tools for them."""

    def make(name: str, text: str) -> tuple[Path, Path]:
        values: dict[str, Any] = {"program": ("printf", "%s", text), "nccl_topo_file": f"/{text}"}
        own = {key: value for key, value in values.items() if key in LAUNCHERS[name].settings}
        job = Job(text, 11, axes=(CustomAxis(text, 11),))
        folder = write_all(LAUNCHERS[name].write(LaunchRequest(whole_hosts, text, job=job, **own)))
        tools = tmp_path / "tools"
        tools.mkdir()
        version = f'case " $* " in *" --version "*) echo "{EVERY_MPI}"; exit 0;; esac\n'
        shown = 'for last; do :; done; case $last in */program) last=$("$last") ;; esac; printf "[%s]" "$last"\n'
        for tool in TOOLS:
            (tools / tool).write_text(f"#!/bin/sh\n{version}{shown}")
        (tools / "topoplan").write_text('#!/bin/sh\nmkdir -p "$TOPOPLAN_OUT/launch"\n'
                                        'ln -s "$TOPOPLAN_FOLDER" "$TOPOPLAN_OUT/launch/slurm"\n')  # fmt: skip
        for made in tools.iterdir():
            made.chmod(0o755)
        return folder, tools

    return make


def run(command: list[str], folder: Path, tools: Path, **more: str) -> str:
    told = {"TOPOPLAN_HOST": "h6", "TOPOPLAN_LOCAL_RANK": "0", "SLURM_JOB_ID": "7", "TOPOPLAN_CLAIM": "off"}
    inside = {"TOPOPLAN_JOB": "/dev/null", "TOPOPLAN_OUT": str(folder / "out"), "TOPOPLAN_FOLDER": str(folder)}
    env = {"PATH": f"{tools}:{os.environ['PATH']}", **told, **inside, **more}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=180)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in LAUNCHERS if name not in KINDS])
@pytest.mark.parametrize("text", SHELL)
def test_no_value_runs_anything(name: str, text: str, world: Callable[[str, str], tuple[Path, Path]]) -> None:
    """Whatever starts a program is run, and gets the hostile text as one word; Python files are imported."""
    folder, tools = world(name, text)
    ran = 0
    for file in sorted(folder.glob("*")):
        starts = file.name.startswith(("run", "plan.", "node-0")) or file.name == "topoplan_shim.py"
        if starts and "program" in LAUNCHERS[name].settings:
            said = run([str(file)], folder, tools)
            assert said == text if file.suffix == ".py" else f"[{text}]" in said, (file, said)
            words = ["printf", "%s", text] if file.suffix == ".py" else ["prog", text]
            said = run([str(file), *words], folder, tools)  # as an argument, of which DeepSpeed takes plain ones alone
            assert said in (text, f"[{text}]") or said.endswith(f"[{text}]") or f"hand '{text}'" in said, (file, said)
            ran += 1
        if file.suffix == ".py":
            code = f"import json, {file.stem} as made; print(json.dumps(getattr(made, 'NCCL_TOPO_FILE', None)))"
            said = run([sys.executable, "-c", code], folder, tools, PYTHONPATH=str(folder))
            assert json.loads(said) == (None if "rendezvous" in file.name else f"/{text}")
            ran += 1
        if file.name == "topoplan-env":
            said = run([str(file), "printenv", "NCCL_TOPO_FILE"], folder, tools, **dict.fromkeys(RANKS, "0"))
            assert said == f"/{text}\n", said
            ran += 1
    assert ran or name == "rankmap"
    assert not list(folder.rglob("hit"))


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_becomes_another_object(name: str, text: str, whole_hosts: RankPlacement) -> None:
    """In Kubernetes' objects the hostile text is a word of the command and a value, and changes nothing else."""
    values: dict[str, Any] = {"program": ("printf", text), "nccl_topo_file": f"/{text}"}
    found = []
    for plan, more in ((text, values), ("job", {"program": ("printf", "x"), "nccl_topo_file": "/x"})):
        made = LAUNCHERS[name].write(LaunchRequest(whole_hosts, plan, **more))[f"{name}.yaml"].text
        objects = list(yaml.safe_load_all(made))
        inside = json.dumps(objects)
        assert json.dumps(more["program"][1])[1:-1] in inside
        found.append([(item["kind"], sorted(item["metadata"]), len(json.dumps(sorted(item)))) for item in objects])
    assert found[0] == found[1]


@pytest.mark.parametrize("key", list(SETTINGS))
@pytest.mark.parametrize("text", HOSTILE + BROKEN)
def test_values_are_plain_or_refused(key: str, text: str) -> None:
    """Only the program and paths may hold what a shell or YAML would take for its own; those are quoted."""
    try:
        value = parse_settings([f"{key}={text}"], SETTINGS)[key]
    except InputError:
        return
    assert text not in BROKEN
    assert key == "program" or (isinstance(value, str) and value.replace("_", "").isalnum()), (key, value)


@pytest.mark.parametrize("text", ["a;touch hit", "$(touch hit)", "-rf", "`id`", "a|b", "a&b", "..", "a'b", "a>b",
                                  "*", "~", "a/b", "a:b", "é", "#a", "", "@a", "a=b", "{a}", "a\\n-b"])  # fmt: skip
def test_a_fabric_refuses_hostile_host_names(text: str) -> None:
    """Before anything is planned. White space parts the names of a list: `a b` are two hosts."""
    plain = """
apiVersion: topoplan/v1
kind: Fabric
name: f
host_types: {box: {gpus: 1, scale_up: {domain: host, bandwidth: 450 GB/s}, nics: {count: 1, bandwidth: 400 Gb/s}}}
hosts: [{names: NAMES, type: box}]
"""
    assert parse_fabric(plain.replace("NAMES", '["a"]')).host_names == ("a",)
    with pytest.raises(InputError):
        parse_fabric(plain.replace("NAMES", f'["{text}"]'))
