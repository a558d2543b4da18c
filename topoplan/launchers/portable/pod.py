"""Gives a pod the ranks that the plan has for the node it is on, whichever pod the scheduler put there.

    pod.py run PROGRAM [ARGS...]     start PROGRAM once a rank of this node, as torchrun would
    pod.py worker SSHD [ARGS...]     MPIJob: remember the node, then run the SSH daemon
    pod.py launch PROGRAM [ARGS...]  MPIJob: ask every worker for its node, then start mpirun in the planned order
    pod.py rank MASTER PROGRAM ...   MPIJob: what mpirun starts, once a rank

TOPOPLAN_HOST is the node's name, TOPOPLAN_POD and TOPOPLAN_ADDRESS name and address of the pod, TOPOPLAN_MEET where the
pods meet. It exits with 6, saying why, where a pod is on a node outside of the plan or a node has two pods.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from topoplan.launchers.portable.meeting import meet
from topoplan.launchers.portable.pod_table import PodRow, own_row, pod_rows, rank_environment, say, stop
from topoplan.launchers.portable.whoami import RANK_VARIABLES, environment, first_number

_HOSTFILE = "/etc/mpi/hostfile"  # of the MPI operator
_MEET_SECONDS = 1800.0  # assumed: images of tens of GB may be pulled meanwhile
_KILL_SECONDS = 20.0  # between SIGTERM and SIGKILL; pods have 30 s in all
_ASKED_AT_ONCE = 64
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -q"
# mpirun of each kind, up to the name of the file of one host a rank
_STARTERS = {
    "OpenMPI": ("mpirun --map-by seq --bind-to none -np {ranks} --hostfile", "{pod}"),
    "Intel": ("mpiexec.hydra -n {ranks} -machinefile", "{pod}:1"),
    "MPICH": ("mpiexec.hydra -n {ranks} -f", "{pod}:1"),
}
# The MPI operator gives mpirun its own order through these.
_OPERATOR_FILES = (
    "OMPI_MCA_orte_default_hostfile",
    "PRTE_MCA_prte_default_hostfile",
    "I_MPI_HYDRA_HOST_FILE",
    "HYDRA_HOST_FILE",
)
_OPERATOR_SLOTS = ("I_MPI_PERHOST", "OMPI_MCA_orte_set_default_slots")
_CARRIED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")
_OWN = ("TOPOPLAN_HOST", "TOPOPLAN_POD", "TOPOPLAN_ADDRESS")


def _state(env: Mapping[str, str]) -> str:
    return env.get("TOPOPLAN_STATE", "/tmp")  # noqa: S108 - a container's own


def _here(rows: Sequence[PodRow], env: Mapping[str, str]) -> PodRow:
    """The row of this node, or the end."""
    node = env.get("TOPOPLAN_HOST", "")
    row = own_row(rows, node)
    if row is None:
        stop(f"pod {env.get('TOPOPLAN_POD', '')} is on node {node or '?'}, which is not in the plan")
    return row


def run(folder: str, env: Mapping[str, str], program: Sequence[str]) -> int:
    """Start the program once a rank of this node; its exit code."""
    rows = pod_rows(folder)
    node = env.get("TOPOPLAN_HOST", "")
    row = own_row(rows, node)
    address = env.get("TOPOPLAN_ADDRESS", "127.0.0.1")
    if env.get("TOPOPLAN_MEET") and len(rows) > 1:
        hello = {"row": row and row.number, "node": node, "pod": env.get("TOPOPLAN_POD", ""), "address": address}
        address = meet(env["TOPOPLAN_MEET"], hello, rows, float(env.get("TOPOPLAN_MEET_SECONDS", _MEET_SECONDS)))
    row = _here(rows, env)
    say(f"node {node} runs ranks {', '.join(map(str, row.ranks))}; they meet at {address}")
    return run_all(program, [rank_environment(rows, row, rank, address, env) for rank in row.ranks])


def run_all(program: Sequence[str], environments: Sequence[Mapping[str, str]]) -> int:
    """Run the program in each environment; all end when one fails, and its exit code is returned."""
    children: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def forward(number: int, _frame: object) -> None:
        received.append(number)
        for child in children:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    children.extend(subprocess.Popen(list(program), env=dict(env)) for env in environments)
    for early in tuple(received):  # that came while not all had started
        forward(early, None)
    while True:
        codes = [child.poll() for child in children]
        failed = next((code for code in codes if code), 0)
        if failed or None not in codes:
            break
        time.sleep(0.1)
    if failed:
        _end(children)
    return failed if failed >= 0 else 128 - failed


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _KILL_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def worker(folder: str, env: Mapping[str, str], program: Sequence[str]) -> int:
    """Write down the node, as SSH sessions do not get the pod's environment, and become the SSH daemon."""
    _here(pod_rows(folder), env)
    with open(os.path.join(_state(env), "topoplan-node"), "w", encoding="utf-8") as file:
        file.write(env["TOPOPLAN_HOST"] + "\n")
    os.execvp(program[0], list(program))


def launch(folder: str, env: Mapping[str, str], program: Sequence[str]) -> int:
    """Find every worker's node, and become mpirun with one line a rank."""
    rows = pod_rows(folder)
    with open(env.get("TOPOPLAN_HOSTFILE", _HOSTFILE), encoding="utf-8") as file:
        pods = [line.split()[0].split(":")[0] for line in file if line.strip() and not line.startswith("#")]
    deadline = time.monotonic() + float(env.get("TOPOPLAN_MEET_SECONDS", _MEET_SECONDS))
    command = [*shlex.split(env.get("TOPOPLAN_SSH", _SSH))]
    state = os.path.join(_state(env), "topoplan-node")
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        nodes = list(pool.map(lambda pod: _ask_node([*command, pod, "cat", state], deadline), pods))
    pod_of = _pod_of_row(rows, dict(zip(pods, nodes)))
    starter, line = _STARTERS[env.get("TOPOPLAN_MPI", "OpenMPI")]
    row_of = {rank: row.number for row in rows for rank in row.ranks}
    lines = [line.format(pod=pod_of[row_of[rank]]) + "\n" for rank in sorted(row_of)]
    order = os.path.join(_state(env), "topoplan-order")
    with open(order, "w", encoding="utf-8") as file:
        file.writelines(lines)
    carried = [
        f"{name}={value}"
        for name, value in sorted(env.items())
        if name in _CARRIED or (name.startswith(("NCCL_", "TOPOPLAN_")) and name not in _OWN)
    ]
    rank = ["/usr/bin/env", *carried, sys.executable, os.path.abspath(__file__), "rank", pod_of[0], *program]
    words = [*starter.format(ranks=len(lines)).split(), order, *shlex.split(env.get("MPIRUN_OPTIONS", "")), *rank]
    os.execvpe(words[0], words, _without_operator(env, order))


def _ask_node(command: Sequence[str], deadline: float) -> str:
    while True:
        done = subprocess.run(list(command), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.decode().strip()
        if time.monotonic() > deadline:
            return ""
        time.sleep(1.0)


def _pod_of_row(rows: Sequence[PodRow], node_of: Mapping[str, str]) -> dict[int, str]:
    """The pod on each host of the plan, or the end with all that is wrong."""
    found: dict[int, str] = {}
    wrong = []
    for pod, node in node_of.items():
        row = own_row(rows, node)
        if row is None:
            wrong.append(f"{pod} is on node {node or '?'}, which is not in the plan")
        elif row.number in found:
            wrong.append(f"{found[row.number]} and {pod} are both on {row.host}")
        else:
            found[row.number] = pod
    wrong += [f"no pod is on {row.host}" for row in rows if row.number not in found]
    if wrong:
        stop("; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
    return found


def _without_operator(env: Mapping[str, str], order: str) -> dict[str, str]:
    """Environment of mpirun in which nothing brings back the order of pod indices."""
    changed = {name: value for name, value in env.items() if name not in _OPERATOR_SLOTS}
    changed.update({name: order for name in _OPERATOR_FILES if name in env})
    for name in ("OMPI_MCA_orte_keep_fqdn_hostnames", "PRTE_MCA_prte_keep_fqdn_hostnames"):
        changed[name] = "1"
    if os.geteuid() == 0:  # a container's root, for whom the person who wrote the image decided
        for name in ("OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT"):
            changed.update({name: "1", name + "_CONFIRM": "1"})
    return changed


def rank(folder: str, env: Mapping[str, str], program: Sequence[str]) -> int:
    """Become the program, as the rank that mpirun says, if the plan has it here."""
    rows = pod_rows(folder)
    with open(os.path.join(_state(env), "topoplan-node"), encoding="utf-8") as file:
        node = file.read().strip()
    row = _here(rows, {**env, "TOPOPLAN_HOST": node})
    number, variable = first_number(env, RANK_VARIABLES)
    if number is None or number not in row.ranks:
        stop(f"rank {number} ({variable or 'not told'}) was started on {row.host}, where the plan has {row.ranks}")
    master, *words = program
    os.execvpe(words[0], words, rank_environment(rows, row, number, master, {**env, "TOPOPLAN_HOST": node}))


_MODES: Mapping[str, Callable[[str, Mapping[str, str], Sequence[str]], int]] = {
    "run": run,
    "worker": worker,
    "launch": launch,
    "rank": rank,
}


def main(arguments: Sequence[str]) -> int:
    """Run a mode."""
    if len(arguments) < 2 or arguments[0] not in _MODES:
        say(f"usage: pod.py {'|'.join(_MODES)} PROGRAM [ARGS...]")
        return 2
    return _MODES[arguments[0]](os.path.dirname(os.path.abspath(__file__)), environment(), arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
