"""The links benchmark without its links: cells, what ranks are told to send, and what pages say of results."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.links.cells import GPUS, Case, Cell, all_cells
from tests.benchmarks.links.measure import Results
from tests.benchmarks.links.schedule import schedule_of
from tests.benchmarks.links.show import PAGE, PART, ratios, times, verdicts
from tests.benchmarks.links.summary import points, rows
from tests.pages import README, ROOT, part

SMALL = Cell(8, 2, 4, "interleaved")


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.of(SMALL)


@pytest.fixture
def results(case: Case, tmp_path: Path) -> Results:
    """Twice as fast as predicted without a plan, and just as predicted with it."""
    found = Results(tmp_path / "results.json")
    for transport in ("openmpi", "gloo"):
        for order in ("numbers", "strings", "linear", "plan"):
            if case.same[order] == order:
                share = 0.5 if order in ("numbers", "strings") else 1.0
                step = {axis: share * ms for axis, ms in case.forecast(order).ms.items()}
                found.add(case, transport, order, {"steps": [step, step], "idle": 0.5})
    return found


def sent(schedule: str) -> dict[str, Counter[tuple[int, int]]]:
    """Bytes from rank to rank by phase: a ring's members send 2 (n - 1) / n of the payload to the next."""
    phases: dict[str, Counter[tuple[int, int]]] = {}
    for line in schedule.splitlines():
        word, *rest = line.split()
        if word == "phase":
            flows = phases.setdefault(rest[0], Counter())
        elif word == "allreduce":
            size, *members = map(int, rest)
            assert members == sorted(members)  # torch sorts the ranks of a group
            for i, member in enumerate(members):
                share = 2 * (len(members) - 1) / len(members)
                flows[member, members[(i + 1) % len(members)]] += round(share * size)
        else:
            source, target, size = map(int, rest)
            flows[source, target] += size
    return phases


@pytest.mark.parametrize("cell", [SMALL, Cell(16, 4, 1, "random")], ids=str)
def test_ranks_send_what_is_priced(cell: Cell) -> None:
    traffic = Case.of(cell).traffic
    phases = sent(schedule_of(traffic))
    assert set(phases) == {"tp", "ep", "pp", "dp"} == set(traffic.axes)
    for name, flows in zip(traffic.axes, traffic.by_axis, strict=True):
        priced: Counter[tuple[int, int]] = Counter()
        for flow in flows.tolist():
            priced[int(traffic.src[flow]), int(traffic.dst[flow])] += traffic.bytes[flow]
        assert set(phases[name]) == set(priced)
        for pair, size in priced.items():
            assert phases[name][pair] == pytest.approx(size, rel=1e-4), (name, pair)


@pytest.mark.parametrize("cell", all_cells(), ids=str)
def test_racks_are_alike_and_uplinks_as_stated(cell: Cell) -> None:
    racks = Counter(cell.rack_of().values())
    assert sorted(racks.values()) == [cell.hosts // cell.racks] * cell.racks
    fabric = Case.of(cell).fabric
    rack = [g for g, group in enumerate(fabric.groups) if group.tier == 0]
    uplink = (fabric.uplink_links * fabric.uplink_link_bandwidth)[rack]
    nics = fabric.port_bandwidth.sum() / cell.racks
    np.testing.assert_allclose(nics / uplink, cell.over, rtol=1e-6)


def test_orders(case: Case) -> None:
    hosts = {order: [case.fabric.host_names[h] for h in at.host[::GPUS]] for order, at in case.orders.items()}
    assert hosts["numbers"] == [f"n{i}" for i in range(5, 13)]
    assert hosts["strings"] == ["n10", "n11", "n12", "n5", "n6", "n7", "n8", "n9"]
    assert hosts["linear"] == ["n5", "n7", "n9", "n11", "n6", "n8", "n10", "n12"]
    assert case.same == {"numbers": "numbers", "strings": "strings", "linear": "linear", "plan": "linear"}
    assert case.forecast("numbers").uplink_bound == ("ep", "dp")


def test_results_are_kept_and_judged(results: Results) -> None:
    results.write()
    again = Results(results.path)
    assert again.cells == results.cells
    assert (again.rounds(SMALL, "openmpi"), again.rounds(Cell(16, 4, 1, "random"), "gloo")) == (1, 0)
    row = rows(again.cells)[0]
    assert row.gain == pytest.approx(row.ms["numbers"] / row.ms["linear"])
    assert row.behind == pytest.approx(max(0.0, row.ms["plan"] / row.ms["numbers"] - 1))
    assert [point.ratio for point in points(again.cells) if point.order == "numbers"] == [
        pytest.approx(0.5, rel=1e-3)
    ] * 6
    told = verdicts(rows(again.cells), points(again.cells))
    assert "4:1" in told[0]
    assert "kept in all 2" in told[0]
    assert "MISSED" in told[2]


def test_pages_show_the_results() -> None:
    kept: dict[str, Any] = json.loads((ROOT / "tests/benchmarks/links/results.json").read_text())
    assert len(kept) == len(all_cells())
    assert part(README, PART) == times(kept)
    assert part(PAGE, PART) == ratios(kept)
