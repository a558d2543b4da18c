"""Node ranks of elastic jobs: who gets which, and agents that agree on it, with threads in place of hosts and torch."""

from __future__ import annotations

import json
import sys
import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topoplan.launchers.portable import seating
from topoplan.launchers.portable.pod_table import PodRow
from topoplan.launchers.portable.seating import PlanRendezvous, assign


def rows_of(*counts: int) -> list[PodRow]:
    first = [sum(counts[:i]) for i in range(len(counts))]
    return [
        PodRow(i, f"h{i}", range(first[i], first[i] + count), list(range(count))[::-1], [], [f"h{i}"])
        for i, count in enumerate(counts)
    ]


def spare(name: str, gpus: int = 2) -> PodRow:
    return PodRow(0, name, [], list(range(gpus)), [], [name])


ROWS = rows_of(2, 2, 1)


@pytest.mark.parametrize(
    ("nodes", "before", "expected"),
    [
        ({"h0": 2, "h1": 2, "h2": 1, "s0": 2}, {}, ["h0", "h1", "h2"]),
        ({"h0": 2, "h2": 1, "s1": 2, "s0": 2}, {}, ["h0", "s0", "h2"]),
        ({"h0": 2, "h2": 1, "s1": 2, "s0": 2}, {1: "s1"}, ["h0", "s1", "h2"]),
        ({"h2": 1, "s1": 2, "s0": 2}, {1: "s0"}, ["s1", "s0", "h2"]),  # who stood in is not moved for another
        ({"h0": 2, "h1": 2, "h2": 1, "s0": 2}, {1: "s0"}, ["h0", "h1", "h2"]),  # the lost host is back
        ({"h0": 2, "h1": 2, "s0": 2}, {}, ["h0", "h1", None]),  # no spare with one process
        ({"h0": 2, "h1": 2, "s0": 1}, {}, ["h0", "h1", "s0"]),
        ({"h0": 1, "h1": 2, "s0": 2}, {}, ["s0", "h1", None]),  # h0 starts too few
        ({"s0": 2}, {}, ["s0", None, None]),  # one spare stands in for one host
    ],
)
def test_assign(nodes: dict[str, int], before: dict[int, str], expected: list[str | None]) -> None:
    found = assign(ROWS, nodes, ["s0", "s1"], before)
    assert [found.get(rank) for rank in range(3)] == expected


@given(data=st.data(), counts=st.lists(st.integers(1, 3), min_size=1, max_size=6))
def test_assign_fills_what_can_be_filled(data: st.DataObject, counts: list[int]) -> None:
    rows, spares = rows_of(*counts), [f"s{i}" for i in range(4)]
    names = [*(row.host for row in rows), *spares]
    nodes = data.draw(st.dictionaries(st.sampled_from(names), st.integers(1, 3)))
    before = data.draw(st.dictionaries(st.integers(0, len(rows) - 1), st.sampled_from(spares)))
    found = assign(rows, nodes, spares, before)
    assert len(set(found.values())) == len(found)
    assert all(nodes[host] == len(rows[rank].ranks) for rank, host in found.items())
    assert all(found[row.number] == row.host for row in rows if nodes.get(row.host) == len(row.ranks))
    idle = [nodes[name] for name in spares if name in nodes and name not in found.values()]
    assert all(len(row.ranks) not in idle for row in rows if row.number not in found)


class Store:
    """What torch's stores do, among threads."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.gone = False

    def set(self, key: str, value: str) -> None:
        self.data[key] = value.encode()

    def get(self, key: str) -> bytes:
        return self.data[key]

    def check(self, keys: list[str]) -> bool:
        if self.gone:
            raise RuntimeError("Broken pipe")
        return all(key in self.data for key in keys)


class Meeting:
    """In place of c10d: a round is complete when as many have come as are alive."""

    def __init__(self, alive: int) -> None:
        self.alive = alive
        self.closed = False
        self.store = Store()
        self._came = 0
        self._round = Store()
        self._change = threading.Condition()

    def come(self) -> Any:
        with self._change:
            mine, rank = self._round, self._came
            self._came += 1
            self._change.notify_all()
            while self._round is mine and self._came < self.alive and not self.closed:
                self._change.wait(0.01)
            if self.closed:
                raise TORCHS.RendezvousClosedError
            size = self._came if self._round is mine else self.alive
            if self._round is mine:
                self._round, self._came = Store(), 0
                self._change.notify_all()
            return SimpleNamespace(rank=rank, world_size=size, store=mine)


class Inner:
    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.timeouts = 0

    def next_rendezvous(self) -> Any:
        if self.timeouts:
            self.timeouts -= 1
            raise TORCHS.RendezvousTimeoutError
        return self.meeting.come()

    def is_closed(self) -> bool:
        return self.meeting.closed

    def set_closed(self) -> None:
        self.meeting.closed = True

    def shutdown(self) -> bool:
        self.meeting.closed = True
        return True


class _Error(Exception):
    pass


TORCHS = SimpleNamespace(
    RendezvousTimeoutError=type("RendezvousTimeoutError", (_Error,), {}),
    RendezvousClosedError=type("RendezvousClosedError", (_Error,), {}),
    RendezvousGracefulExitError=type("RendezvousGracefulExitError", (_Error,), {}),
    RendezvousConnectionError=type("RendezvousConnectionError", (_Error,), {}),
    RendezvousStoreInfo=SimpleNamespace(build=lambda rank, store, address: (rank, address)),
    RendezvousInfo=lambda store, rank, size, info: SimpleNamespace(store=store, rank=rank, world_size=size, info=info),
)


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch with what the handler takes of it; the environment is left as it was."""
    made = {name: ModuleType(name) for name in ("torch", "torch.distributed", "torch.distributed.elastic")}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    made["torch.distributed"].PrefixStore = lambda prefix, store: (prefix, store)  # type: ignore[attr-defined]
    made["torch.distributed.elastic"].rendezvous = TORCHS  # type: ignore[attr-defined]
    monkeypatch.setattr(seating, "_POLL_S", 0.001)
    for name in ("CUDA_VISIBLE_DEVICES", "NCCL_IB_HCA", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # to be restored
        monkeypatch.delenv(name)


class Agent:
    """One host's agent in a thread."""

    def __init__(self, meeting: Meeting, me: PodRow, processes: int = 2, join_seconds: float = 60) -> None:
        self.inner = Inner(meeting)
        spares = [spare("s0"), spare("s1")]
        self.handler = PlanRendezvous(
            self.inner, meeting.store, ROWS[:2], spares, me, processes, "job", "topoplan", join_seconds=join_seconds
        )
        self.rank: int | str | None = None
        self._thread: threading.Thread | None = None

    def go(self) -> Agent:
        self.rank = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self.rank = self.handler.next_rendezvous().rank
        except SystemExit as end:
            self.rank = f"exit {end.code}"
        except (_Error, RuntimeError) as error:
            self.rank = type(error).__name__

    def end(self) -> int | str | None:
        assert self._thread is not None
        self._thread.join(60)
        return self.rank


def until(what: Any) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_spare_stands_in_and_keeps_its_rank(capsys: pytest.CaptureFixture[str]) -> None:
    meeting = Meeting(4)
    agents = {
        name: Agent(meeting, row)
        for name, row in {**{r.host: r for r in ROWS[:2]}, "s0": spare("s0"), "s1": spare("s1")}.items()
    }
    for agent in agents.values():
        agent.go()
    assert [agents["h0"].end(), agents["h1"].end(), agents["s0"].rank, agents["s1"].rank] == [0, 1, None, None]
    assert agents["h0"].handler.num_nodes_waiting() == 0

    meeting.alive = 3  # h1 is lost; h0 starts over, which tells the spares to come
    agents["h0"].go()
    assert (agents["h0"].end(), agents["s0"].end(), agents["s1"].rank) == (0, 1, None)
    assert "s0 stands in for h1 as node rank 1" in capsys.readouterr().err

    agents["s0"].go()  # its ranks fail: it tells the other, and gets its rank again
    until(agents["h0"].handler.num_nodes_waiting)
    agents["h0"].go()
    assert (agents["h0"].end(), agents["s0"].end(), agents["s1"].rank) == (0, 1, None)

    assert agents["s0"].handler.shutdown()
    assert agents["s1"].end() == "exit 0"
    assert agents["s1"].handler.shutdown()
    assert "s1 was not needed" in capsys.readouterr().err
    assert agents["h0"].go().end() == "RendezvousClosedError"
    assert agents["h0"].handler.is_closed()


def test_a_spare_ends_with_the_store() -> None:
    meeting = Meeting(3)
    h0, h1, s0 = (Agent(meeting, row).go() for row in (*ROWS[:2], spare("s0")))
    assert (h0.end(), h1.end()) == (0, 1)
    until(lambda: s0.handler._standing_by)
    s0.handler._round.gone = True
    assert s0.end() == "exit 0"


@pytest.mark.parametrize(("me", "end"), [(spare("s0"), "exit 0"), (ROWS[0], "RuntimeError")])
def test_a_store_that_goes_in_the_midst_of_a_round_ends_a_spare_and_fails_a_host(me: PodRow, end: str) -> None:
    meeting = Meeting(1)
    meeting._round.gone = True
    assert Agent(meeting, me).go().end() == end


def test_a_spare_that_comes_late_waits_and_a_host_does_not() -> None:
    meeting = Meeting(1)
    late = Agent(meeting, spare("s0"))
    late.inner.timeouts = 1
    assert late.go().end() == "RendezvousTimeoutError"  # nothing runs yet
    meeting.store.set("topoplan/job/seats", json.dumps({"0": "h0", "1": "h1"}))
    late.inner.timeouts = 2
    meeting.closed = True
    assert late.go().end() == "exit 0"
    host = Agent(meeting, ROWS[0])
    assert host.go().end() == "RendezvousClosedError"


def test_ranks_without_a_host_and_what_fits_none() -> None:
    meeting = Meeting(2)
    h0, s0 = Agent(meeting, ROWS[0], join_seconds=0), Agent(meeting, spare("s0"), processes=1, join_seconds=0)
    assert [h0.go().rank, s0.go().end(), h0.end()][1:] == ["RendezvousTimeoutError"] * 2


def test_two_agents_of_one_host_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    meeting = Meeting(2)
    both = [Agent(meeting, ROWS[0]).go() for _ in range(2)]
    assert [agent.end() for agent in both] == ["exit 6", "exit 6"]
    assert "two agents run on h0" in capsys.readouterr().err


def test_a_leader_that_dies_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seating, "_GATHER_S", 0.5)  # long enough for the others' threads on a busy machine
    monkeypatch.setattr(seating, "_SLACK_S", 0.5)
    meeting = Meeting(3)
    leader = threading.Thread(target=meeting.come)  # comes first, and says nothing
    leader.start()
    until(lambda: meeting._came == 1)
    h0, h1 = (Agent(meeting, row).go() for row in ROWS[:2])
    leader.join(60)
    meeting.alive = 2
    assert (h0.end(), h1.end()) == (0, 1)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def shown(me: PodRow, row: PodRow) -> str | None:
        Agent(Meeting(1), me).handler._show_devices(row)
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    assert shown(ROWS[1], ROWS[1]) == "1,0"  # as planned
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert shown(spare("s0", 4), ROWS[1]) == "0,1"  # a spare's first ones
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert shown(ROWS[1], ROWS[1]) == "7"  # what was given counts
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("TOPOPLAN_GPUS", "off")
    assert shown(ROWS[1], ROWS[1]) is None
