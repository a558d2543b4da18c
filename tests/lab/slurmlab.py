"""A real Slurm in the lab: slurmctld on the first host, slurmd on every host, munged beside the controller."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.lab.netlab import Lab, LabError

PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch", "salloc", "sinfo")
# bf_interval: heterogeneous jobs are started by the backfill scheduler alone, which else runs every 30 s.
# No cgroups, no accounting: `ip netns exec` mounts /sys anew, without cgroups. More CPUs than the machine has are
# taken at their word (config_overrides).
CONFIG = """\
ClusterName=lab
SlurmctldHost={head}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
TopologyPlugin=topology/tree
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MessageTimeout=60
SchedulerParameters=bf_interval=1
"""


class SlurmLab:
    """Slurm on the hosts of a lab; a context manager. With `gpus` it manages so many of each host, which are files.

    Raises
    ------
    LabError
        The nodes are not idle in time; ends with the logs.
    """

    def __init__(self, lab: Lab, cpus: int = 4, wait: float = 180, gpus: int = 0) -> None:
        self.lab, self.cpus, self.wait, self.gpus = lab, cpus, wait, gpus
        self.head = next(iter(lab.racks))
        # A short path: the socket of munged must fit into 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="tpslurm"))
        self.env = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> SlurmLab:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm on the head."""
        return self.lab.run(self.head, command, {**self.env, **(env or {})}, timeout)

    def logs(self) -> str:
        """The ends of all logs."""
        files = sorted((self.folder / "log").glob("*"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in files)

    def _start(self) -> None:
        self.folder.chmod(0o755)  # munged wants its socket to be reachable
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "slurm.conf").write_text(self._config())
        (self.folder / "topology.conf").write_text(self._topology())
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        own = [f"--{what}={self.folder}/munge.{end}" for what, end in
               (("key-file", "key"), ("socket", "sock"), ("pid-file", "pid"), ("seed-file", "seed"))]  # fmt: skip
        self._daemon(self.head, "munged", "-F", "--force", *own, f"--log-file={self.folder}/log/munged")
        deadline = time.monotonic() + self.wait
        while not (self.folder / "munge.sock").exists():
            self._patience(deadline, "munged has no socket")
        self._daemon(self.head, "slurmctld", "-D", "-c", "-f", self.env["SLURM_CONF"])
        for host in self.lab.racks:
            (self.folder / "spool" / host).mkdir()
            self._daemon(host, "slurmd", "-D", "-N", host, "-f", self.env["SLURM_CONF"])
        idle = str(len(self.lab.racks))
        while self.run("sinfo", "-h", "-t", "idle", "-o", "%D").stdout.strip() != idle:
            self._patience(deadline, f"not all of {idle} nodes are idle")

    def _patience(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise LabError(f"Slurm: {what} after {self.wait} s\n{self.logs()}")
        time.sleep(0.3)

    def _config(self) -> str:
        lines = CONFIG.format(head=self.head, address=self.lab.address(self.head), folder=self.folder)
        gres = f"Gres=gpu:h100:{self.gpus} " if self.gpus else ""
        if self.gpus:
            lines += "GresTypes=gpu\n"
            for gpu in range(self.gpus):
                (self.folder / f"gpu{gpu}").touch()
            files = f"{self.folder}/gpu[0-{self.gpus - 1}]"
            (self.folder / "gres.conf").write_text(f"Name=gpu Type=h100 File={files}\n")
        for host in self.lab.racks:
            at = self.lab.address(host)
            lines += f"NodeName={host} NodeAddr={at} CPUs={self.cpus} RealMemory=200 {gres}State=UNKNOWN\n"
        return lines + "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"

    def _topology(self) -> str:
        leaves = {rack: [host for host, at in self.lab.racks.items() if at == rack] for rack in self.lab.racks.values()}
        lines = [f"SwitchName=leaf{rack} Nodes={','.join(hosts)}" for rack, hosts in leaves.items()]
        return "\n".join([*lines, f"SwitchName=spine Switches={','.join(f'leaf{rack}' for rack in leaves)}", ""])

    def _daemon(self, host: str, *command: str) -> None:
        argv = ["ip", "netns", "exec", self.lab.namespace(host), "unshare", "--uts", "sh", "-c",
                'echo "$0" > /proc/sys/kernel/hostname; exec "$@"', host, *command]  # fmt: skip
        with (self.folder / "log" / f"{command[0]}.{host}.out").open("wb") as out:
            env = {**os.environ, **self.env}
            self._daemons.append(
                subprocess.Popen(
                    argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
                )
            )

    def _stop(self) -> None:
        for process in reversed(self._daemons):
            process.send_signal(signal.SIGTERM)
        for process in self._daemons:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def why_no_slurm() -> str:
    """What is missing for Slurm, "" when nothing is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (apt: slurm-wlm slurm-wlm-basic-plugins munge)" if missing else ""
