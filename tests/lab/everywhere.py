"""Launchers that are started on every host at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.netlab import Lab


def start_everywhere(lab: Lab, commands: Mapping[str, list[str]], env: Mapping[str, str], timeout: float = 240) -> str:
    """Run one command a host, all at once, to their ends; their output together.

    The first failure ends the others and the test: they would wait for it.
    """
    running = {host: lab.start(host, command, env) for host, command in commands.items()}
    texts: dict[str, tuple[str, str]] = {}

    def collect(host: str, process: subprocess.Popen[str]) -> None:
        texts[host] = process.communicate()

    readers = [threading.Thread(target=collect, args=item) for item in running.items()]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + timeout
    failed = ""
    while not failed and any(reader.is_alive() for reader in readers):
        time.sleep(0.05)
        failed = next((host for host, process in running.items() if process.poll()), "")
        if time.monotonic() > deadline:
            failed = failed or "no host, but time is up"
    for process in running.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    for reader in readers:
        reader.join()
    if failed:
        shown = "\n".join(f"{host}: {out[-1000:]}{err[-3000:]}" for host, (out, err) in texts.items())
        pytest.fail(f"failed: {failed}\n{shown}")
    return "".join(out for out, _ in texts.values())
