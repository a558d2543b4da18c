"""The list of launchers, what they can express, and readers that refuse files that would not be obeyed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from topoplan.errors import InfeasibleError, InputError
from topoplan.launchers import DEFAULT_LAUNCHERS, LAUNCHERS, LaunchRequest, capability, get_launcher, kubernetes
from topoplan.launchers.express import check_expressible
from topoplan.model.capability import Freedom
from topoplan.model.placement import RankPlacement


def test_defaults() -> None:
    assert DEFAULT_LAUNCHERS == ("openmpi", "torchrun", "slurm", "rankmap")
    assert set(DEFAULT_LAUNCHERS) <= set(LAUNCHERS)
    for name, launcher in LAUNCHERS.items():
        assert launcher.name == name
        assert launcher.description
        assert launcher.hints


def test_an_unknown_launcher_is_refused_with_the_likeliest() -> None:
    with pytest.raises(InputError) as caught:
        get_launcher("torch-run")
    assert "did you mean 'torchrun'?" in str(caught.value)
    assert "openmpi" in str(caught.value)


def test_capability_is_the_least_of_all() -> None:
    assert capability(["openmpi", "slurm"]).freedom == Freedom.RANKS
    both = capability(["openmpi", "torchrun", "openmpi"])
    assert (both.freedom, both.launchers) == (Freedom.GPUS, ("openmpi", "torchrun"))
    assert capability([]).freedom == Freedom.RANKS


def test_torchrun_names_the_first_ranks_that_it_cannot_place(any_ranks: RankPlacement) -> None:
    with pytest.raises(InfeasibleError) as caught:
        get_launcher("torchrun").write(LaunchRequest(any_ranks))
    assert "ranks 3 (h6 GPU 0), 5 (h10 GPU 0), 7 (h1 GPU 1), 8 (h0 GPU 1) return to a host" in str(caught.value)


@pytest.mark.parametrize("name", list(LAUNCHERS))
def test_what_is_beyond_a_launcher_is_refused_with_a_way_out(name: str, any_ranks: RankPlacement) -> None:
    launcher = LAUNCHERS[name]
    if launcher.freedom == Freedom.RANKS:
        assert launcher.write(LaunchRequest(any_ranks))
        assert launcher.expresses.startswith("any rank on any GPU")
        assert not launcher.shim
        return
    with pytest.raises(InfeasibleError, match=r"ranks 3 \(h6 GPU 0\), 5 ") as caught:
        launcher.write(LaunchRequest(any_ranks))
    ways = ("shim", "devicemesh", "torchrun --set shim=true")
    way = next(other for other in ways if f"topoplan export PLAN --launcher {other}" in launcher.shim)
    assert launcher.shim in str(caught.value)
    assert f"solve --launcher {name}" in str(caught.value)
    assert LAUNCHERS[way.split()[0]].write(LaunchRequest(any_ranks, shim="shim=true" in way))  # which can
    assert launcher.expresses.endswith("any rank on any GPU through the shim")


def test_kinds_and_shims_place_ranks_by_the_table() -> None:
    kinds = {launcher.name for launcher in kubernetes.LAUNCHERS}
    assert {name for name, launcher in LAUNCHERS.items() if launcher.by_table} == {"shim", "devicemesh", *kinds}


def test_freedom_of_whole_hosts(placement_of: Callable[..., RankPlacement]) -> None:
    plain = placement_of(["a", "b"], [("b", 0), ("b", 1), ("a", 0)])
    check_expressible(plain, Freedom.HOSTS, "x")
    swapped = placement_of(["a", "b"], [("b", 0), ("b", 1), ("a", 1)])
    check_expressible(swapped, Freedom.GPUS, "x")
    with pytest.raises(InfeasibleError, match=r"rank 2 \(a GPU 1\) are planned on other GPUs"):
        check_expressible(swapped, Freedom.HOSTS, "x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"master_port": 0}, "port 0"),
        ({"columns": {"stage": [1]}}, "one value a rank"),
        ({"columns": {"a,b": [0] * 9}}, "plain name"),
    ],
)
def test_bad_requests(any_ranks: RankPlacement, values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LaunchRequest(any_ranks, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("openmpi", "run.sh", "--map-by seq", "--map-by node", "run.sh: mpirun runs without"),
        ("openmpi", "rankfile", "rank 2=h10", "rank 2=h7", "rankfile:10: rank 2 is on another host"),
        ("openmpi", "rankfile", "rank 10=h1 slot=0\n", "", "10 ranks, but 11"),
        ("openmpi", "rankfile", "rank 0=h6 slot=0", "rank 0 h6", "not of the form"),
        ("openmpi", "hosts.tsv", "h6\t0,1", "h6\t0", "hosts.tsv:4: not a row"),
        ("torchrun", "run.sh", "static", "c10d", "sorts hosts by name"),
        ("torchrun", "run.sh", "END_OF_HOSTS", "EOF", "table of hosts is missing"),
        ("torchrun", "node-1-h10.sh", "--node-rank=1", "--node-rank=2", "node-1-h10.sh: node rank"),
        ("torchrun", "node-1-h10.sh", "DEVICES=1,0", "DEVICES=0,1", "differ from those of run.sh"),
        ("torchrun", "node-1-h10.sh", "--node-rank=1", "", "not a script"),
        ("slurm", "run.sbatch", "--distribution=arbitrary", "--distribution=block", "sorts the nodes"),
        ("slurm", "tasks.hosts", "h10", "h10*two", "is not HOST*COUNT"),
        ("mpich", "run.sh", ' -f "$here/machines"', "", "mpiexec runs without -f machines"),
        ("intelmpi", "run.sh", "-machinefile", "-f", "mpiexec runs without -machinefile machines"),
        ("intelmpi", "machines", "h10:1", "h10:one", "machines:6: not of the form HOST:COUNT"),
        ("deepspeed", "hostfile", "h10 slots=2", "h10", "hostfile:4: not of the form HOST slots=COUNT"),
        ("deepspeed", "hostfile", "h10 slots", "h6 slots", "h6 stands there twice"),
        ("deepspeed", "run.sh", "--launcher pdsh", "--launcher openmpi", "without this hostfile over pdsh"),
        ("deepspeed", "run.sh", "--force_multi", "--include h6", "--include leaves ranks out"),
        ("accelerate", "run.sh", "--config_file", "--config-file", "without the machine's configuration"),
        ("accelerate", "machine-h10.yaml", "machine_rank: 1", "machine_rank: 0", "that of another machine too"),
        ("accelerate", "machine-h10.yaml", "machine_rank: 1", "machine_rank: 9", "the host of machine_rank 0"),
        ("accelerate", "machine-h10.yaml", '"static"', '"c10d"', "sorts hosts by name"),
        ("accelerate", "machine-h10.yaml", "num_processes: 12", "num_processes: 6", "do not fit run.sh"),
        ("accelerate", "machine-h10.yaml", 'gpu_ids: "1,0"', 'gpu_ids: "all"', "gpu_ids must be a list"),
        ("accelerate", "machine-h10.yaml", "use_cpu: false", "use_cpu", "not of the form KEY: VALUE"),
        ("accelerate", "machine-h10.yaml", "machine_rank: 1\n", "", "machine_rank is missing"),
        ("dlrover", "node-topology.json", '"h10": "1"', '"h10": 1', "as text alone"),
        ("dlrover", "node-topology.json", '"h10": "1"', '"h10": "0"', "the order of their pods"),
        ("dlrover", "node-topology.json", '"h10"', '"h11"', "h10 must stand there once"),
        ("dlrover", "node-topology.json", "{", "[", "not JSON"),
        ("rankmap", "rankmap.json", '"h6"', '"h7"', "do not say the same"),
    ],
)  # fmt: skip
def test_readers_refuse_what_would_not_be_obeyed(
    name: str, file: str, old: str, new: str, message: str, whole_hosts: RankPlacement
) -> None:
    files = {key: made.text for key, made in get_launcher(name).write(LaunchRequest(whole_hosts)).items()}
    assert old in files[file]
    with pytest.raises(InputError) as caught:
        get_launcher(name).read(files | {file: files[file].replace(old, new)})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("openmpi", "hosts.seq"),
        ("torchrun", "run.sh"),
        ("slurm", "tasks.hosts"),
        ("rankmap", "rankmap.csv"),
        ("mpich", "machines"),
        ("deepspeed", "hostfile"),
        ("accelerate", "run.sh"),
        ("dlrover", "run.sh"),
    ],
)
def test_a_missing_file_is_named(name: str, file: str) -> None:
    with pytest.raises(InputError, match=f"{file} is missing"):
        get_launcher(name).read({})


@pytest.mark.parametrize("name", ["openmpi", "slurm", "mpich", "intelmpi"])
@pytest.mark.parametrize("file", ["topoplan-env", "hosts.tsv"])
def test_files_without_the_wrapper_are_refused(name: str, file: str, any_ranks: RankPlacement) -> None:
    files = {key: made.text for key, made in get_launcher(name).write(LaunchRequest(any_ranks)).items()}
    del files[file]
    with pytest.raises(InputError, match=f"{file} is missing"):
        get_launcher(name).read(files)


def test_edited_order_files_are_read_as_the_launcher_reads_them(whole_hosts: RankPlacement) -> None:
    files = {key: made.text for key, made in get_launcher("slurm").write(LaunchRequest(whole_hosts)).items()}
    edited = files | {"tasks.hosts": "# edited\nh10*2,h6\nh6\nh2\n"}
    order = get_launcher("slurm").read(edited)
    assert [seat.host for seat in order] == ["h10", "h10", "h6", "h6", "h2"]
    assert [seat.gpu for seat in order] == [None, None, None, None, 0]  # topoplan-env would refuse the first four
