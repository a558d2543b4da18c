"""Where pods meet: each tells pod 0 on which host of the plan it is, and learns the address of the host of rank 0.

Nobody knows before which pod gets which host, so the pod that has rank 0 has no name that could be written down; the
pod of index 0 has. Whatever is not as planned is told to all pods, so that none waits for ranks that never come.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from topoplan.launchers.portable.pod_table import PodRow, stop

_POLL_S = 1.0
_GRACE_S = 60.0  # assumed: longer than any pod needs to ask again
_MESSAGE_BYTES = 4096
_TIMEOUT_S = 10.0
_SHOWN = 5


class Roll:
    """Who has come. Not for several threads at once without its lock."""

    def __init__(self, rows: Sequence[PodRow]) -> None:
        self._hosts = [row.host for row in rows]
        self._came: dict[int, tuple[str, str]] = {}
        self._told: set[str] = set()
        self._error = ""
        self._lock = threading.Lock()

    def answer(self, hello: Mapping[str, Any]) -> dict[str, str]:
        """Reply to one pod: {"master": address} once all are there, else {"wait": why} or {"error": what}."""
        with self._lock:
            if not self._error:
                self._error = self._problem(hello)
                self._told = set() if self._error else self._told
            if self._error:
                return self._tell(hello, {"error": self._error})
            self._came[int(hello["row"])] = (str(hello["pod"]), str(hello["address"]))
            missing = self._missing()
            return {"wait": "no pod yet on " + missing} if missing else self._tell(hello, {"master": self._came[0][1]})

    def _tell(self, hello: Mapping[str, Any], reply: dict[str, str]) -> dict[str, str]:
        self._told.add(str(hello.get("pod")))
        return reply

    def all_told(self) -> bool:
        """Whether as many pods as there are hosts know the master, or what is wrong."""
        with self._lock:
            return len(self._told) >= len(self._hosts)

    def _problem(self, hello: Mapping[str, Any]) -> str:
        row, pod, node = hello.get("row"), hello.get("pod"), hello.get("node")
        if not isinstance(row, int) or not 0 <= row < len(self._hosts):
            return f"pod {pod} is on node {node}, which is not in the plan; planned without a pod: {self._missing()}"
        other = self._came.get(row, (pod, ""))[0]
        return "" if other == pod else f"pods {other} and {pod} are both on host {self._hosts[row]}"

    def _missing(self) -> str:
        """Names of the first hosts without a pod, "" when all have one."""
        hosts = [host for row, host in enumerate(self._hosts) if row not in self._came]
        return ", ".join(hosts[:_SHOWN]) + (f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else "")


def serve(roll: Roll, port: int) -> None:
    """Answer pods from now on, in threads that end with this process."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = _TIMEOUT_S

        def handle(self) -> None:
            try:
                hello = json.loads(self.rfile.readline(_MESSAGE_BYTES))
                reply = roll.answer(hello)
            except (ValueError, KeyError, TypeError, AttributeError, OSError):
                return  # whatever that was, it was no pod of this job
            self.wfile.write(json.dumps(reply).encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 4096
        address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

    server = Server(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def meet(place: str, hello: Mapping[str, Any], rows: Sequence[PodRow], seconds: float) -> str:
    """Address of the host of rank 0; ends the process when pods are not where the plan wants them.

    Parameters
    ----------
    place
        HOST:PORT where the pod of index 0 answers; the host's name may be a variable of the environment.
    """
    host, _, port = os.path.expandvars(place).rpartition(":")
    deadline = time.monotonic() + seconds
    roll: Roll | None = None
    while True:
        if roll is None and _is_here(host, str(hello["address"])):
            roll = Roll(rows)
            serve(roll, int(port))
        reply = _ask(host, int(port), hello) if roll is None else roll.answer(hello)
        if "wait" not in reply:
            if roll is not None:
                _wait_for_all(roll)
            return reply["master"] if "master" in reply else stop(reply["error"])
        if time.monotonic() > deadline:
            stop(f"not all pods came within {seconds:g} s: {reply['wait']}")
        time.sleep(_POLL_S)


def _wait_for_all(roll: Roll) -> None:
    """Stay until every pod has its answer: this process may end before they ask again."""
    patience = time.monotonic() + _GRACE_S
    while not roll.all_told() and time.monotonic() < patience:
        time.sleep(_POLL_S / 10)
    time.sleep(_POLL_S / 10)  # the last answer is on its way


def _is_here(host: str, address: str) -> bool:
    if host.partition(".")[0] == socket.gethostname().partition(".")[0]:
        return True
    try:
        return address in {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:  # its pod does not exist yet
        return False


def _ask(host: str, port: int, hello: Mapping[str, Any]) -> dict[str, str]:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(json.dumps(dict(hello)).encode() + b"\n")
            with connection.makefile("rb") as file:
                reply = json.loads(file.readline(_MESSAGE_BYTES))
        if isinstance(reply, dict) and len(reply) == 1 and set(reply) <= {"master", "wait", "error"}:
            return {str(key): str(value) for key, value in reply.items()}
        return {"wait": f"what answers at {host}:{port} is no pod of this job"}
    except (OSError, ValueError) as error:
        return {"wait": f"{host}:{port} does not answer ({error})"}
