"""Network namespaces as hosts under racks, with shaped NICs and uplinks, for real launchers to run in.

Every host has its own name, address and hosts file; stand-ins for rsh and ssh start commands there. Bandwidth is shaped
with tbf in each direction; latency is not, as many kernels come without netem. Needs root, iproute2 and util-linux.
Names carry the process that made them, and whatever was made is removed when the lab closes, however it ends; what a
killed process left behind is removed by the next lab.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

NETNS = Path("/etc/netns")  # `ip netns exec NAME` mounts the files of NETNS/NAME over those of /etc
PREFIX = "tplab"
BURST = "32k"  # bytes that tbf lets through at once: more would make small messages look faster than the link is
# Bytes of headers of a packet: Ethernet's, without the checksum, which neither tbf nor counters see; and IPv4 20 (RFC
# 791), TCP 20 (RFC 9293) with its timestamps 12 (RFC 7323, appendix A).
ETHERNET, TCP_IP = 14, 52
QUEUE = "8m"  # what waits behind tbf before it drops: dropped packets would measure TCP's timers, not the links
# rsh, and ssh with the options that launchers give it; host names reach the shell as arguments alone.
AGENT = """#!/bin/sh
while :; do
    case $1 in
        -[bcDEeFIiJLlmOopQRSWw]) shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
host=${{1#*@}}
shift
exec ip netns exec "{prefix}-$host" unshare --uts sh -c 'echo "$0" > /proc/sys/kernel/hostname; eval "$1"' "$host" "$*"
"""


class LabError(RuntimeError):
    """A command that builds the lab failed."""


class Lab:
    """Hosts in racks; a context manager.

    Parameters
    ----------
    racks
        Rack number of each host, in the order of addresses.
    folder
        Where the agents go; hosts see the machine's files.
    uplink, nic
        Rate of each rack's uplink and of each host's NIC in tc's words, each direction; "" leaves NICs unshaped.
    mtu
        Largest packet, bytes.
    sockets
        Kernel settings of every host, by their names below net.ipv4: {"tcp_congestion_control": "reno"}.
    """

    def __init__(
        self,
        racks: Mapping[str, int],
        folder: Path,
        uplink: str = "200mbit",
        nic: str = "",
        mtu: int = 1500,
        sockets: Mapping[str, str] | None = None,
    ) -> None:
        self.prefix = f"{PREFIX}-{os.getpid():x}-{secrets.token_hex(2)}"
        self.racks = dict(racks)
        self.uplink, self.nic, self.mtu = uplink, nic, mtu
        self.sockets = dict(sockets or {})
        self.bin = folder / "lab-bin"
        self.agent = self.bin / "lab-rsh"
        self._made: list[str] = []

    def __enter__(self) -> Lab:
        remove_leftovers()
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

    def namespace(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def run(
        self, host: str, command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end; stderr is kept apart.

        Raises
        ------
        TimeoutError
            It took longer; its process group is killed. Says what it wrote.
        """
        process = self.start(host, command, env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise TimeoutError(f"{command} on {host} took more than {timeout} s\n{out}\n{err}") from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start(self, host: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command on a host, in a process group of its own."""
        script = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'
        argv = ["ip", "netns", "exec", self.namespace(host), "unshare", "--uts", "sh", "-c", script, host, *command]
        return subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self, host: str) -> None:
        """End all that runs on a host, as when it loses power."""
        kill_all(self.namespace(host))

    def shape(self, uplink: str, nic: str = "") -> None:
        """Give uplinks, and NICs where they are shaped, these rates from now on."""
        self.uplink, self.nic = uplink, nic
        tbf = "root tbf rate {} burst " + BURST + " limit " + QUEUE
        fabric = [f"qdisc replace dev {end}{rack} {tbf.format(uplink)}"
                  for rack in sorted(set(self.racks.values())) for end in ("up", "down")]  # fmt: skip
        if nic:
            fabric += [f"qdisc replace dev p{i} {tbf.format(nic)}" for i in range(len(self.racks))]
            for host in self.racks:
                _call("tc", "-n", self.namespace(host), *f"qdisc replace dev eth0 {tbf.format(nic)}".split())
        _call("tc", "-n", f"{self.prefix}-fabric", "-batch", "-", text="\n".join(fabric) + "\n")

    def uplink_payload(self) -> list[tuple[int, int]]:
        """Bytes that have left and entered each rack so far, without headers: acknowledgements count nothing."""
        shown = subprocess.run(
            ["ip", "-n", f"{self.prefix}-fabric", "-s", "-j", "link"], capture_output=True, text=True, check=True
        )
        sent = {}
        for link in json.loads(shown.stdout):
            counted = link["stats64"]["tx"]
            # a large send is one packet here until tbf cuts it, and has one header as long as it is
            sent[link["ifname"]] = int(counted["bytes"]) - int(counted["packets"]) * (ETHERNET + TCP_IP)
        return [(sent[f"up{rack}"], sent[f"down{rack}"]) for rack in sorted(set(self.racks.values()))]

    def _build(self) -> None:
        fabric = f"{self.prefix}-fabric"
        for name in (fabric, *map(self.namespace, self.racks)):
            self._made.append(name)
            _call("ip", "netns", "add", name)
        _call("ip", "-n", fabric, "-batch", "-", text=self._links())
        names = "127.0.0.1 localhost\n" + "".join(f"{self.address(host)} {host}\n" for host in self.racks)
        for host in self.racks:
            own = f"link set lo up\naddr add {self.address(host)}/16 dev eth0\nlink set eth0 up\n"
            _call("ip", "-n", self.namespace(host), "-batch", "-", text=own)
            if self.sockets:
                words = [f"net.ipv4.{name}={value}" for name, value in self.sockets.items()]
                _call("ip", "netns", "exec", self.namespace(host), "sysctl", "-qw", *words)
            folder = NETNS / self.namespace(host)
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(names)
            (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
            (folder / "resolv.conf").write_text("")
        self.shape(self.uplink, self.nic)
        self.bin.mkdir(exist_ok=True)
        for name in ("lab-rsh", "ssh", "rsh"):
            (self.bin / name).write_text(AGENT.format(prefix=self.prefix))
            (self.bin / name).chmod(0o755)

    def _links(self) -> str:
        """Batch for `ip`: bridges of racks and the spine, veth pairs that join them, one a host to its rack."""
        lines = ["link set lo up", "link add spine type bridge", "link set spine up"]
        for rack in sorted(set(self.racks.values())):
            lines += [
                f"link add rack{rack} type bridge",
                f"link set rack{rack} up",
                f"link add up{rack} mtu {self.mtu} type veth peer name down{rack} mtu {self.mtu}",
                f"link set up{rack} master rack{rack} up",
                f"link set down{rack} master spine up",
            ]
        for i, (host, rack) in enumerate(self.racks.items()):
            lines += [
                f"link add p{i} mtu {self.mtu} type veth peer name eth0 mtu {self.mtu} netns {self.namespace(host)}",
                f"link set p{i} master rack{rack} up",
            ]
        return "\n".join(lines) + "\n"

    def _remove(self) -> None:
        for name in reversed(self._made):
            remove_namespace(name)
        self._made.clear()


def remove_leftovers() -> None:
    """Remove the namespaces of labs whose process is gone."""
    shown = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    left = {line.split()[0] for line in shown.splitlines() if line}
    left |= {path.name for path in NETNS.glob(f"{PREFIX}-*")}
    for name in sorted(left):
        match = re.match(rf"{PREFIX}-([0-9a-f]+)-", name)
        if match and not Path(f"/proc/{int(match[1], 16)}").exists():
            remove_namespace(name)


def remove_namespace(name: str) -> None:
    """Kill what runs in a namespace of a lab and remove it."""
    kill_all(name)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    shutil.rmtree(NETNS / name, ignore_errors=True)


def kill_all(name: str) -> None:
    """Kill what runs in a namespace of a lab."""
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
    for pid in pids.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _call(*command: str, text: str | None = None) -> None:
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{' '.join(command)}: {result.stderr.strip()}")


def why_no_lab() -> str:
    """What is missing for namespaces, "" when nothing is."""
    missing = [name for name in ("ip", "tc", "unshare", "awk") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"{PREFIX}-{os.getpid():x}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"ip netns add: {made.stderr.strip()}" if made.returncode else ""
