"""The lab: network namespaces as hosts under racks with shaped uplinks, for real launchers to run in.

Every host has its own name, address and hosts file; an agent stands in for ssh. Bandwidth is shaped with tbf; latency
is not, as many kernels come without netem. Needs root, iproute2 and util-linux. Names carry a prefix of the run, and
whatever was made is removed when the lab closes, however it ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

from topoplan.launchers import LaunchFile

NETNS = Path("/etc/netns")  # `ip netns exec NAME` mounts the files of NETNS/NAME over those of /etc
BURST = "128k"  # what tbf lets through at once: a few of its ticks at 1 Gbit/s
# Host names only become text in files here; the shell of the agent gets them as arguments.
AGENT = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec "{prefix}-$host" unshare --uts sh -c 'echo "$0" > /proc/sys/kernel/hostname; eval "$1"' "$host" "$*"
"""


class Lab:
    """Hosts in racks; a context manager.

    Parameters
    ----------
    racks
        Rack number of each host, in the order of addresses.
    folder
        Where the agent goes.
    uplink
        Rate of each rack's uplink in tc's words, each direction.
    """

    def __init__(self, racks: Mapping[str, int], folder: Path, uplink: str = "200mbit") -> None:
        self.prefix = f"tplab{os.getpid():x}{secrets.token_hex(2)}"
        self.racks = dict(racks)
        self.uplink = uplink
        self.agent = folder / "lab-rsh"
        self._made: list[str] = []

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def address(self, host: str) -> str:
        number = list(self.racks).index(host)
        return f"10.77.{self.racks[host]}.{number + 1}"

    def run(
        self, host: str, command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end; stderr is kept apart."""
        process = self.start(host, command, env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"{command} on {host} took more than {timeout} s\n{out}\n{err}")
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start(self, host: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command on a host, in a process group of its own."""
        script = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'
        argv = ["ip", "netns", "exec", f"{self.prefix}-{host}", "unshare", "--uts", "sh", "-c", script, host, *command]
        return subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _build(self) -> None:
        fabric = f"{self.prefix}-fabric"
        for name in (fabric, *(f"{self.prefix}-{host}" for host in self.racks)):
            _call("ip", "netns", "add", name)
            self._made.append(name)
        ports = {host: f"p{i}" for i, host in enumerate(self.racks)}
        _call("ip", "-n", fabric, "-batch", "-", text=_fabric_links(self.prefix, self.racks, ports))
        shape = [f"qdisc add dev {end}{r} root tbf rate {self.uplink} burst {BURST} limit 1m"
                 for r in sorted(set(self.racks.values())) for end in ("up", "down")]  # fmt: skip
        _call("tc", "-n", fabric, "-batch", "-", text="\n".join(shape) + "\n")
        names = "127.0.0.1 localhost\n" + "".join(f"{self.address(host)} {host}\n" for host in self.racks)
        for host in self.racks:
            own = f"link set lo up\naddr add {self.address(host)}/16 dev eth0\nlink set eth0 up\n"
            _call("ip", "-n", f"{self.prefix}-{host}", "-batch", "-", text=own)
            folder = NETNS / f"{self.prefix}-{host}"
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(names)
            (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
            (folder / "resolv.conf").write_text("")
        self.agent.write_text(AGENT.format(prefix=self.prefix))
        self.agent.chmod(0o755)

    def _remove(self) -> None:
        for name in reversed(self._made):
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for pid in pids.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            shutil.rmtree(NETNS / name, ignore_errors=True)
        self._made.clear()


def _fabric_links(prefix: str, racks: Mapping[str, int], ports: Mapping[str, str]) -> str:
    """Batch for `ip`: a bridge a rack, one for the spine, a veth pair a rack between them, one a host to its rack."""
    lines = ["link set lo up", "link add spine type bridge", "link set spine up"]
    for rack in sorted(set(racks.values())):
        lines += [
            f"link add rack{rack} type bridge",
            f"link set rack{rack} up",
            f"link add up{rack} type veth peer name down{rack}",
            f"link set up{rack} master rack{rack} up",
            f"link set down{rack} master spine up",
        ]
    for host, port in ports.items():
        lines += [
            f"link add {port} type veth peer name eth0 netns {prefix}-{host}",
            f"link set {port} master rack{racks[host]} up",
        ]
    return "\n".join(lines) + "\n"


def _call(*command: str, text: str | None = None) -> None:
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")


def cannot_run(reason: str) -> NoReturn:
    """Skip, or fail where the lab must run."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI must run the lab: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def refuse() -> Callable[[str], NoReturn]:
    return cannot_run


def why_no_lab() -> str:
    """What is missing for namespaces, "" when nothing is."""
    missing = [name for name in ("ip", "tc", "unshare", "awk") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"tplab{os.getpid():x}probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"ip netns add: {made.stderr.strip()}" if made.returncode else ""


@pytest.fixture(scope="session")
def namespaces() -> None:
    reason = why_no_lab()
    if reason:
        cannot_run(reason)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab of a test module, with the hosts of its `RACKS`."""
    with Lab(request.module.RACKS, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def write_files(tmp_path: Path) -> Callable[[Mapping[str, LaunchFile]], Path]:
    """Put launch files into a folder that all hosts see."""

    def write(files: Mapping[str, LaunchFile]) -> Path:
        folder = tmp_path / "launch"
        folder.mkdir()
        for name, file in files.items():
            (folder / name).write_text(file.text)
            (folder / name).chmod(0o755 if file.executable else 0o644)
        return folder

    return write


@pytest.fixture(scope="session")
def torchrun() -> str:
    """torchrun of TOPOPLAN_TORCHRUN, else of the interpreter that runs the tests."""
    path = Path(os.environ.get("TOPOPLAN_TORCHRUN") or Path(sys.executable).parent / "torchrun")
    if not path.exists():
        cannot_run(f"no torchrun at {path}: install torch there, or set TOPOPLAN_TORCHRUN")
    return str(path)
