"""The written scripts run for real, under /bin/sh, with a stand-in for the launcher's own program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from topoplan.errors import InputError
from topoplan.launchers import LaunchFile, LaunchRequest, compare, get_launcher, parse_observed
from topoplan.model.placement import RankPlacement

Write = Callable[[Mapping[str, LaunchFile]], Path]
Place = Callable[..., RankPlacement]
PROBE = [
    "sh",
    "-c",
    'echo "RANK=$RANK HOST=$TOPOPLAN_HOST LOCAL_RANK=$LOCAL_RANK CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES"',
]


def run(command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=180)


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("name", "variable"), [("openmpi", "OMPI_COMM_WORLD_RANK"), ("slurm", "SLURM_PROCID")])
def test_wrapper_gives_every_rank_its_seat(
    name: str, variable: str, any_ranks: RankPlacement, write_all: Write
) -> None:
    folder = write_all(get_launcher(name).write(LaunchRequest(any_ranks)))
    out = ""
    for rank, h in enumerate(any_ranks.host):
        host = any_ranks.fabric.host_names[h]
        result = run([str(folder / "topoplan-env"), *PROBE], TOPOPLAN_HOST=host, **{variable: str(rank)})
        assert result.returncode == 0, result.stderr
        out += result.stdout
    order = parse_observed(out)
    assert compare(any_ranks, order) == []
    assert [seat.gpu for seat in order] == any_ranks.local.tolist()


def test_wrapper_environment(any_ranks: RankPlacement, write_all: Write) -> None:
    folder = write_all(get_launcher("slurm").write(LaunchRequest(any_ranks, master_port=1234)))
    wrapper = str(folder / "topoplan-env")
    result = run([wrapper, "env"], TOPOPLAN_HOST="h6", SLURM_PROCID="3")
    env = dict(line.split("=", 1) for line in result.stdout.splitlines())
    expected = {
        "RANK": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "9",
        "MASTER_ADDR": "h6", "MASTER_PORT": "1234",
        "CUDA_VISIBLE_DEVICES": "1,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "NCCL_IB_HCA": "=mlx5_0,mlx5_1",
    }  # fmt: skip
    assert env.items() >= expected.items()
    own = run([wrapper, "env"], TOPOPLAN_HOST="h6", SLURM_PROCID="3", TOPOPLAN_ONE_GPU="1", NCCL_IB_HCA="mine")
    assert {"CUDA_VISIBLE_DEVICES=0", "NCCL_IB_HCA=mine"} <= set(own.stdout.splitlines())


def test_wrapper_passes_arguments_as_they_are(any_ranks: RankPlacement, write_all: Write) -> None:
    folder = write_all(get_launcher("openmpi").write(LaunchRequest(any_ranks)))
    arguments = ["a b", "$HOME", "*", "", "'q'"]
    command = [str(folder / "topoplan-env"), "printf", "[%s]", *arguments]
    result = run(command, OMPI_COMM_WORLD_RANK="0", TOPOPLAN_HOST="h6")
    assert result.stdout == "[a b][$HOME][*][]['q']"


def test_wrapper_refuses_another_host(any_ranks: RankPlacement, write_all: Write) -> None:
    wrapper = str(write_all(get_launcher("openmpi").write(LaunchRequest(any_ranks))) / "topoplan-env")
    result = run([wrapper, "echo", "ran"], OMPI_COMM_WORLD_RANK="0", TOPOPLAN_HOST="h10")
    assert (result.returncode, result.stdout) == (6, "")
    assert "rank 0 runs on h10, the plan says h6" in result.stderr
    allowed = run([wrapper, "echo", "ran"], OMPI_COMM_WORLD_RANK="0", TOPOPLAN_HOST="h10", TOPOPLAN_CHECK="off")
    assert (allowed.returncode, allowed.stdout) == (0, "ran\n")
    unknown = run([wrapper, "echo", "ran"], OMPI_COMM_WORLD_RANK="0", TOPOPLAN_HOST="pod-77")
    assert (unknown.returncode, unknown.stdout) == (0, "ran\n")
    assert "calls itself pod-77" in unknown.stderr
    beyond = run([wrapper, "echo", "ran"], OMPI_COMM_WORLD_RANK="9", TOPOPLAN_HOST="h6")
    assert (beyond.returncode, beyond.stdout) == (6, "")
    alone = run([wrapper, "echo", "ran"])
    assert alone.returncode != 0
    assert "start me through run.sh" in alone.stderr


@pytest.mark.parametrize(
    ("names", "me", "host"),
    [
        (["10", "010", "1e1"], "010", "010"),  # one number, three names
        (["10", "010", "1e1"], "1e1", "1e1"),
        (["n1.a", "n1.b", "n2.a"], "n1.b", "n1.b"),
        (["n1.a", "n1.b", "n2.a"], "n2", "n2.a"),
        (["n1", "n2"], "N2.example.org", "n2"),
        (["Node1", "Node2"], "node2", "Node2"),
    ],
)
def test_scripts_know_a_host_by_its_names(
    names: list[str], me: str, host: str, placement_of: Place, write_all: Write
) -> None:
    placement = placement_of(names, gpus=1)
    folder = write_all(get_launcher("torchrun").write(LaunchRequest(placement)))
    fake = program(folder, "torchrun", 'echo "$2"\n')
    result = run([str(folder / "run.sh"), "x.py"], TORCHRUN=fake, TOPOPLAN_HOST=me)
    assert result.stdout == f"--node-rank={names.index(host)}\n", result.stderr


def test_torchrun_knows_aliases_and_refuses_strangers(placement_of: Place, write_all: Write) -> None:
    aliases = {"a": {"k8s": "pool-node-7"}, "b": {"ip": "10.0.0.2", "v6": "fe80::1"}}
    folder = write_all(get_launcher("torchrun").write(LaunchRequest(placement_of(["a", "b"], aliases=aliases))))
    fake = program(folder, "torchrun", 'echo "$2"\n')
    for me, node in (("pool-node-7", 0), ("10.0.0.2", 1)):
        result = run([str(folder / "run.sh"), "x.py"], TORCHRUN=fake, TOPOPLAN_HOST=me)
        assert result.stdout == f"--node-rank={node}\n"
    stranger = run([str(folder / "run.sh"), "x.py"], TORCHRUN=fake, TOPOPLAN_HOST="c")
    assert (stranger.returncode, stranger.stdout) == (6, "")
    assert "TOPOPLAN_HOST" in stranger.stderr


@pytest.mark.parametrize(
    "name",
    ["a$(touch${IFS}hit)", "a`touch${IFS}hit`", "a;touch${IFS}hit;", "a'$(touch${IFS}hit)'", 'a"&&touch${IFS}hit'],
)
def test_a_name_that_slipped_through_would_still_be_text(
    name: str, placement_of: Place, write_all: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="refused"):
        placement_of([name, "b"], gpus=1)
    monkeypatch.setattr("topoplan.model.fabric_parts.check_name", str)
    placement = placement_of([name, "b"], gpus=1)
    with pytest.raises(InputError, match="refused"):
        LaunchRequest(placement)
    monkeypatch.setattr("topoplan.launchers.base.check_name", str)
    monkeypatch.setattr("topoplan.launchers.match.check_name", str)
    request = LaunchRequest(placement)
    for launcher, command in (("torchrun", "run.sh"), ("openmpi", "topoplan-env"), ("slurm", "topoplan-env")):
        folder = write_all(get_launcher(launcher).write(request))
        fake = program(folder, "torchrun", 'echo "$5"\n')
        env = {"TOPOPLAN_HOST": "b", "TORCHRUN": fake, "OMPI_COMM_WORLD_RANK": "1", "SLURM_PROCID": "1"}
        result = run(["sh", "-c", f'cd "$0" && ./{command} printenv MASTER_ADDR', str(folder)], **env)
        assert result.stdout.strip().removeprefix("--master-addr=") == name, result.stderr
        assert not (folder / "hit").exists()


def test_torchrun_through_the_shim(
    any_ranks: RankPlacement, write_all: Write, shellcheck: Callable[[str], None]
) -> None:
    files = get_launcher("torchrun").write(LaunchRequest(any_ranks, shim=True))
    assert sorted(files) == ["run.sh", "topoplan_shim.py"]
    shellcheck(files["run.sh"].text)
    folder = write_all(files)
    fake = program(folder, "torchrun", 'for word in "$@"; do echo "$word"; done\n')
    env = {"TORCHRUN": fake, "TOPOPLAN_HOST": "h10", "TORCHRUN_OPTIONS": "--max-restarts=0 --log-dir=x"}
    words = run([str(folder / "run.sh"), "./train", "a b"], **env).stdout.splitlines()
    assert words[:3] == ["--nnodes=5", "--node-rank=2", "--nproc-per-node=2"]
    ours = ["--no-python", str(folder / "topoplan_shim.py")]
    assert words[-6:] == ["--max-restarts=0", "--log-dir=x", *ours, "./train", "a b"]
    text = {file: made.text for file, made in files.items()}
    text["topoplan_shim.py"] = (
        text["topoplan_shim.py"].replace("h10\t2,5\t", "h10\t2,6\t").replace("h0\t6,8\t", "h0\t5,8\t")
    )
    with pytest.raises(InputError, match=r"hosts and ranks differ from those of run\.sh"):
        get_launcher("torchrun").read(text)


def test_torchrun_scripts_agree(whole_hosts: RankPlacement, write_all: Write) -> None:
    files = get_launcher("torchrun").write(LaunchRequest(whole_hosts))
    folder = write_all(files)
    fake = program(folder, "torchrun", 'echo "$@" "$CUDA_VISIBLE_DEVICES" "$NCCL_IB_HCA"\n')
    nodes = sorted(name for name in files if name.startswith("node-"))
    assert len(nodes) == 6
    for node, name in enumerate(nodes):
        host = name.removeprefix(f"node-{node}-").removesuffix(".sh")
        found = run([str(folder / "run.sh"), "--no-python", "a b"], TORCHRUN=fake, TOPOPLAN_HOST=host)
        alone = run([str(folder / name), "--no-python", "a b"], TORCHRUN=fake)
        assert found.stdout == alone.stdout
        assert f"--nnodes=6 --node-rank={node} " in found.stdout
        assert "--rdzv-backend=static --master-addr=h6 --master-port=29500 --no-python a b" in found.stdout


@pytest.mark.parametrize("version", ["mpirun (Open MPI) 5.0.3", "mpirun.openmpi (OpenRTE) 4.1.4"])
def test_openmpi_starts_the_program(any_ranks: RankPlacement, write_all: Write, version: str) -> None:
    folder = write_all(get_launcher("openmpi").write(LaunchRequest(any_ranks)))
    fake = program(folder, "mpirun", f'if [ "$1" = --version ]; then echo "{version}"; else printf "[%s]" "$@"; fi\n')
    result = run([str(folder / "run.sh"), "train", "a b"], MPIRUN=fake, MPIRUN_OPTIONS="-x FOO --quiet")
    options = f"[-np][9][--hostfile][{folder}/hosts.seq][--map-by][seq][--bind-to][none][-x][FOO][--quiet]"
    assert result.stdout == f"{options}[{folder}/topoplan-env][train][a b]", result.stderr
    carried = run(
        [str(folder / "run.sh"), "train"], MPIRUN=fake, TOPOPLAN_ONE_GPU="1", TOPOPLAN_HOST="h6", NCCL_IB_HCA="=x"
    )
    assert "[none][-x][TOPOPLAN_ONE_GPU][-x][NCCL_IB_HCA][" in carried.stdout
    other = program(folder, "mpich", 'echo "HYDRA build details:"\n')
    refused = run([str(folder / "run.sh"), "train"], MPIRUN=other)
    assert refused.returncode == 2
    assert "not Open MPI" in refused.stderr
    assert run([str(folder / "run.sh")], MPIRUN=fake).returncode == 2


def test_deepspeed_lets_plain_words_through_and_no_others(whole_hosts: RankPlacement, write_all: Write) -> None:
    folder = write_all(get_launcher("deepspeed").write(LaunchRequest(whole_hosts, master_port=1234)))
    fake = program(folder, "deepspeed", 'printf "[%s]" "$@"\n')
    start = [str(folder / "run.sh"), "python3", "train.py", "--lr=1e-4"]
    result = run(start, DEEPSPEED=fake, TOPOPLAN_CHECK="off", DEEPSPEED_OPTIONS="--ssh_port 22")
    assert result.stdout == (
        f"[--hostfile][{folder}/hostfile][--launcher][pdsh][--force_multi][--master_addr=h6][--master_port=1234]"
        f"[--no_python][--no_local_rank][--ssh_port][22][env][TOPOPLAN_CHECK=off][{folder}/topoplan-env]"
        "[python3][train.py][--lr=1e-4]"
    ), result.stderr
    for word in ("a b", "$(id)", "`id`", "x;id", "'", '"', "%n", "~", "*", "", "a\nb", "é|id"):
        refused = run([*start, word], DEEPSPEED=fake)
        assert (refused.returncode, refused.stdout) == (2, ""), word
    assert run([str(folder / "run.sh")], DEEPSPEED=fake).returncode == 2


def test_deepspeed_starts_all_of_many_hosts_at_once(placement_of: Place) -> None:
    few, many = (
        get_launcher("deepspeed").write(LaunchRequest(placement_of([f"n{i}" for i in range(count)], gpus=1)))
        for count in (1024, 1025)
    )
    assert "--launcher_args" not in few["run.sh"].text
    assert '--launcher_args="-f 1025"' in many["run.sh"].text


def test_accelerate_and_dlrover_run_with_the_settings_of_their_host(
    whole_hosts: RankPlacement, write_all: Write
) -> None:
    for name, variable, shown in (
        ("accelerate", "ACCELERATE", "launch --config_file {folder}/machine-h10.yaml a b 1,0"),
        ("dlrover", "DLROVER_RUN", "--nnodes=6 --nproc_per_node=2 a b 1,0"),
    ):
        folder = write_all(get_launcher(name).write(LaunchRequest(whole_hosts)))
        fake = program(folder, "fake", 'echo "$@" "$CUDA_VISIBLE_DEVICES"\n')
        result = run([str(folder / "run.sh"), "a b"], TOPOPLAN_HOST="h10", **{variable: fake})
        assert result.stdout == shown.format(folder=folder) + "\n", result.stderr
        assert run([str(folder / "run.sh"), "a b"], TOPOPLAN_HOST="spare", **{variable: fake}).returncode == 6


def test_accelerate_shares_its_total_out_as_planned(whole_hosts: RankPlacement) -> None:
    """accelerate starts num_processes // num_machines ranks on a machine."""
    files = get_launcher("accelerate").write(LaunchRequest(whole_hosts, mixed_precision="bf16"))
    for host, ranks in (("h6", 2), ("h1", 1)):
        values = yaml.safe_load(files[f"machine-{host}.yaml"].text)
        assert values["num_processes"] // values["num_machines"] == ranks
        assert values["mixed_precision"] == "bf16"
    alone = RankPlacement(whole_hosts.fabric, whole_hosts.gpu[:1])
    values = yaml.safe_load(get_launcher("accelerate").write(LaunchRequest(alone))["machine-h6.yaml"].text)
    assert (values["distributed_type"], values["num_processes"]) == ("NO", 1)


@pytest.mark.parametrize(("name", "mark"), [("mpich", "HYDRA build details:"), ("intelmpi", "Intel(R) MPI Library")])
def test_hydra_starts_the_program(name: str, mark: str, any_ranks: RankPlacement, write_all: Write) -> None:
    folder = write_all(get_launcher(name).write(LaunchRequest(any_ranks)))
    shown = 'printf "[%s]" "${TOPOPLAN_HOST:-}" "${HYDRA_BOOTSTRAP:-${I_MPI_HYDRA_BOOTSTRAP:-}}" "$@"'
    fake = program(folder, "fake", f'if [ "$1" = --version ]; then echo "{mark}"; else {shown}; fi\n')
    option = {"mpich": "-f", "intelmpi": "-machinefile"}[name]
    command = f"[{option}][{folder}/machines][-n][9][-iface][eth0][{folder}/topoplan-env][train][a b]"
    for slurm, bootstrap in (("", ""), ("7", "ssh")):
        env = {"MPIEXEC": fake, "MPIEXEC_OPTIONS": "-iface eth0", "TOPOPLAN_HOST": "h6", "SLURM_JOB_ID": slurm}
        result = run([str(folder / "run.sh"), "train", "a b"], **env)
        assert result.stdout == f"[][{bootstrap}]{command}", result.stderr
    other = program(folder, "other", 'echo "mpirun (Open MPI) 5.0.3"\n')
    refused = run([str(folder / "run.sh"), "train"], MPIEXEC=other)
    assert refused.returncode == 2
    assert "MPIEXEC=" in refused.stderr


def test_slurm_takes_the_name_of_the_node_for_the_host(any_ranks: RankPlacement, write_all: Write) -> None:
    wrapper = str(write_all(get_launcher("slurm").write(LaunchRequest(any_ranks))) / "topoplan-env")
    for node, code in (("h6", 0), ("h10", 6)):
        assert run([wrapper, "true"], SLURM_PROCID="0", SLURMD_NODENAME=node).returncode == code


def test_slurm_finds_its_folder(any_ranks: RankPlacement, write_all: Write, tmp_path: Path) -> None:
    folder = write_all(get_launcher("slurm").write(LaunchRequest(any_ranks)))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program(bin_folder, "srun", 'printf "[%s]" "$SLURM_HOSTFILE" "${SLURM_NTASKS_PER_NODE:-$TOPOPLAN_HOST}" "$@"\n')
    path = f"{bin_folder}:{os.environ['PATH']}"
    spooled = tmp_path / "slurm_script"  # sbatch runs a copy
    spooled.write_text((folder / "run.sbatch").read_text())
    expected = f"[{folder}/tasks.hosts][][--ntasks=9][--distribution=arbitrary][--cpu-bind=none]"
    for extra in ({"SLURM_SUBMIT_DIR": str(folder)}, {"TOPOPLAN_LAUNCH_DIR": str(folder)}):
        result = run(["sh", str(spooled), "a b"], PATH=path, SLURM_NTASKS_PER_NODE="2", TOPOPLAN_HOST="login", **extra)
        assert result.stdout == f"{expected}[{folder}/topoplan-env][a b]", result.stderr
    direct = run([str(folder / "run.sbatch"), "a b"], PATH=path)
    assert direct.stdout == f"{expected}[{folder}/topoplan-env][a b]"
    lost = run(["sh", str(spooled), "a b"], PATH=path)
    assert lost.returncode == 2
    assert "TOPOPLAN_LAUNCH_DIR" in lost.stderr


@pytest.mark.parametrize(("seats", "assumed"), [([("a", 0), ("a", 1), ("b", 0)], "0"), ([("a", 0), ("b", 0)], "1")])
def test_torchrun_must_not_assume_equal_hosts(
    seats: list[tuple[str, int]], assumed: str, placement_of: Place, write_all: Write
) -> None:
    folder = write_all(get_launcher("torchrun").write(LaunchRequest(placement_of(["a", "b"], seats))))
    fake = program(folder, "torchrun", 'echo "$TORCH_ELASTIC_WORKER_IDENTICAL"\n')
    for name in ("run.sh", "node-1-b.sh"):
        result = run([str(folder / name)], TORCHRUN=fake, TOPOPLAN_HOST="b", TORCH_ELASTIC_WORKER_IDENTICAL="1")
        assert result.stdout == f"{assumed}\n"
