"""Which host has which node rank of an elastic job, agreed upon by its agents in torch's own rendezvous."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from topoplan.launchers.portable.pod_table import PodRow, ib_devices, say, stop

_POLL_S = 0.2
_GATHER_S = 30  # assumed: an agent that joined a round and says nothing for so long is dead
_SLACK_S = 10  # assumed: the leader's answer is there so long after it has gathered, or the leader is dead
_GONE = "ends: the host that agents meet at has gone, with the job or for good"
_SEATS, _AGAIN = "seats", "again"  # keys of a round's store


def assign(
    rows: Sequence[PodRow], nodes: Mapping[str, int], spares: Sequence[str], before: Mapping[int, str]
) -> dict[int, str]:
    """Host of each node rank that can be filled.

    Parameters
    ----------
    rows
        Hosts of the plan in order of node ranks.
    nodes
        Hosts that came, and how many processes each starts.
    spares
        Hosts that may stand in, best first.
    before
        Who had which node rank in the round before: who stood in goes on doing so while the host is lost.
    """
    seats = {row.number: row.host for row in rows if nodes.get(row.host) == len(row.ranks)}
    free = [host for host in spares if host in nodes]
    empty = [row for row in rows if row.number not in seats]
    for row in empty:
        if before.get(row.number) in free and nodes[before[row.number]] == len(row.ranks):
            seats[row.number] = before[row.number]
            free.remove(before[row.number])
    for row in empty:
        fits = [host for host in free if nodes[host] == len(row.ranks)]
        if row.number not in seats and fits:
            seats[row.number] = fits[0]
            free.remove(fits[0])
    return dict(sorted(seats.items()))


class PlanRendezvous:
    """A torch `RendezvousHandler` (registered as one by its maker, as torch is there only where torchrun runs).

    Parameters
    ----------
    inner
        torch's c10d handler: agrees on who takes part in a round.
    store
        What that keeps its state in; outlives rounds.
    me
        This host, of the plan or a spare.
    processes
        How many this host's agent starts.
    join_seconds
        How long to wait for hosts for all ranks.
    """

    def __init__(
        self,
        inner: Any,
        store: Any,
        rows: Sequence[PodRow],
        spares: Sequence[PodRow],
        me: PodRow,
        processes: int,
        run_id: str,
        backend: str,
        local_addr: str | None = None,
        join_seconds: float = 600,
    ) -> None:
        self._inner = inner
        self._store = store
        self._memory = f"topoplan/{run_id}/{_SEATS}"
        self._rows = rows
        self._spares = [spare.host for spare in spares]
        self._me = me
        self._processes = processes
        self._run_id = run_id
        self._backend = backend
        self._local_addr = local_addr
        self._join_seconds = join_seconds
        self._round: Any = None
        self._standing_by = False
        self._given = {name for name in ("CUDA_VISIBLE_DEVICES", "NCCL_IB_HCA") if name in os.environ}

    # ---- what torch asks ----

    def get_backend(self) -> str:
        """Name in --rdzv-backend."""
        return self._backend

    @property
    def use_agent_store(self) -> bool:
        """Ranks make a store of their own on the host of rank 0, so that no spare and no lost host holds it."""
        return False

    def next_rendezvous(self) -> Any:
        """Wait for a round in which every node rank has a host and this one is among them."""
        from torch.distributed import PrefixStore  # noqa: PLC0415 - torch is there when torchrun runs
        from torch.distributed.elastic import rendezvous as torchs  # noqa: PLC0415

        deadline = time.monotonic() + self._join_seconds
        while True:
            try:
                seats = self._one_round()
            except (RuntimeError, torchs.RendezvousConnectionError):  # a store that is gone: its own error or torch's
                if self._me.ranks:
                    raise
                self._leave(_GONE)
            empty = [row for row in self._rows if row.number not in seats]
            if empty:
                reason = f"no host for ranks {empty[0].ranks[0]} to {empty[0].ranks[-1]} of {empty[0].host}"
                if time.monotonic() > deadline:
                    raise torchs.RendezvousTimeoutError(f"{reason}, and no spare with as many GPUs")
                say(f"{reason} yet")
            elif self._me.host in seats.values():
                break
            else:
                self._stand_by()
                deadline = time.monotonic() + self._join_seconds
        rank = next(rank for rank, host in seats.items() if host == self._me.host)
        if self._rows[rank].host != self._me.host:
            say(f"{self._me.host} stands in for {self._rows[rank].host} as node rank {rank}")
        self._show_devices(self._rows[rank])
        store = PrefixStore("workers", self._round)
        info = torchs.RendezvousStoreInfo.build(rank, store, self._local_addr)
        return torchs.RendezvousInfo(store, rank, len(self._rows), info)

    def num_nodes_waiting(self) -> int:
        """Above 0 when another agent of this round starts over; hosts that come late disturb nobody."""
        return int(self._round is not None and self._round.check([_AGAIN]))

    def is_closed(self) -> bool:
        """Whether the job has ended."""
        return bool(self._inner.is_closed())

    def set_closed(self) -> None:
        """End the job for all agents."""
        self._inner.set_closed()

    def get_run_id(self) -> str:
        """--rdzv-id."""
        return self._run_id

    def shutdown(self) -> bool:
        """End the job for all agents, unless this one only stood by."""
        return True if self._standing_by else bool(self._inner.shutdown())

    # ---- a round ----

    def _one_round(self) -> dict[int, str]:
        """Agree with all who come on who has which node rank; {} where no agreement was reached."""
        if self._round is not None:
            self._round.set(_AGAIN, self._me.host)
        info = self._join()
        self._round = info.store
        self._round.set(f"node/{info.rank}", json.dumps({"host": self._me.host, "processes": self._processes}))
        if info.rank == 0:
            self._round.set(_SEATS, json.dumps(self._lead(info.world_size)))
        if not self._wait_for(_SEATS, time.monotonic() + _GATHER_S + _SLACK_S):
            return {}
        found = json.loads(self._round.get(_SEATS))
        if "error" in found:
            stop(found["error"])
        return {int(rank): host for rank, host in found.items()}

    def _join(self) -> Any:
        """Take part in the next round, whenever that is; a spare ends when the job ends without it."""
        from torch.distributed.elastic import rendezvous as torchs  # noqa: PLC0415

        while True:
            try:
                return self._inner.next_rendezvous()
            except torchs.RendezvousTimeoutError:
                if not self._store.check([self._memory]):
                    raise
                say(f"{self._me.host} goes on waiting: the job runs without it")
            except (torchs.RendezvousClosedError, torchs.RendezvousGracefulExitError):
                if self._me.ranks:
                    raise
                self._leave("was not needed")

    def _wait_for(self, key: str, deadline: float) -> bool:
        """Whether a key came in time. Asks again and again: a blocked store would hold up heartbeats too."""
        while not self._round.check([key]):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _lead(self, size: int) -> dict[str, str]:
        """Decide for all: host by node rank, or {"error": ...}."""
        nodes: dict[str, int] = {}
        deadline = time.monotonic() + _GATHER_S
        for rank in range(size):
            if not self._wait_for(f"node/{rank}", deadline):
                continue
            node = json.loads(self._round.get(f"node/{rank}"))
            if node["host"] in nodes:
                return {"error": f"two agents run on {node['host']}: start one a host, each with its own TOPOPLAN_HOST"}
            nodes[node["host"]] = int(node["processes"])
        before = json.loads(self._store.get(self._memory)) if self._store.check([self._memory]) else {}
        seats = assign(self._rows, nodes, self._spares, {int(rank): host for rank, host in before.items()})
        words = {str(rank): host for rank, host in seats.items()}
        if len(seats) == len(self._rows):
            self._store.set(self._memory, json.dumps(words))
        return words

    def _stand_by(self) -> None:
        """Wait until a host is lost."""
        from torch.distributed.elastic import rendezvous as torchs  # noqa: PLC0415

        say(f"{self._me.host} stands by")
        self._standing_by = True
        while True:
            try:
                if self._round.check([_AGAIN]):
                    break
                if self._inner.is_closed():
                    self._leave("was not needed")
            except (RuntimeError, torchs.RendezvousConnectionError):
                self._leave(_GONE)
            time.sleep(_POLL_S)
        self._standing_by = False

    def _leave(self, why: str) -> NoReturn:
        """End this agent.

        torch has RendezvousGracefulExitError for this, after which its launcher asks a result of None whether it failed
        (2.13, torch/distributed/launcher/api.py).
        """
        self._standing_by = True
        say(f"{self._me.host} {why}")
        raise SystemExit(0)

    def _show_devices(self, row: PodRow) -> None:
        """Let this host's ranks see their GPUs and NICs: as planned on a planned host, a spare's first ones."""
        if os.environ.get("TOPOPLAN_GPUS") == "off":
            return
        devices = row.devices if row.host == self._me.host else self._me.devices[: len(row.ranks)]
        found = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)), "NCCL_IB_HCA": ib_devices(self._me)}
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        os.environ.update({name: text for name, text in found.items() if text and name not in self._given})
