"""Layouts do not overlap, cells hold what the placement says, loads agree with the prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from topoplan.model.fabric import Fabric, Host, HostType, Island
from topoplan.model.job import Job, stage_of_rank
from topoplan.model.placement import RankPlacement
from topoplan.model.plan import Plan
from topoplan.model.traffic import Traffic
from topoplan.reports.fabric_figure import compare_svg, fabric_svg
from topoplan.reports.labels import ink_on, rank_labels, stage_labels
from topoplan.reports.layout import MOST_CELLS, MOST_SUMMARIES, TALLEST, WIDEST, Box, Layout, lay_out
from topoplan.reports.load_figure import load_svg
from topoplan.reports.loads import link_classes
from topoplan.reports.shares import label_shares
from topoplan.reports.where import expert_group_of_rank, levels, spread

Example = tuple[Plan, Job, Traffic, RankPlacement]
Rect = tuple[float, float, float, float]


def overlap(a: Rect, b: Rect) -> bool:
    return (
        a[0] < b[0] + b[2] - 1e-6
        and b[0] < a[0] + a[2] - 1e-6
        and a[1] < b[1] + b[3] - 1e-6
        and b[1] < a[1] + a[3] - 1e-6
    )


def inside(inner: Rect, outer: Rect) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[0] + inner[2] <= outer[0] + outer[2] + 1e-6
        and inner[1] + inner[3] <= outer[1] + outer[3] + 1e-6
    )


def box_rect(box: Box) -> Rect:
    return box.x, box.y, box.width, box.height


def check(layout: Layout, hosts: int) -> None:
    cells = [(cell.x, cell.y, layout.detail.width, layout.detail.height) for cell in layout.cells]
    assert sorted(h for cell in layout.cells for h in cell.hosts) == list(range(hosts))
    grid: dict[tuple[int, int], list[Rect]] = {}
    for rect in cells:  # neighbours only: all pairs of 2,000 cells would take minutes
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            grid.setdefault((int(rect[0] // 60) + dx, int(rect[1] // 60) + dy), []).append(rect)
    for near in grid.values():
        assert not any(overlap(a, b) for a, b in combinations(near, 2))
    for a, b in combinations(layout.boxes, 2):
        nested = set(b.hosts) <= set(a.hosts) or set(a.hosts) <= set(b.hosts)
        assert nested or not overlap(box_rect(a), box_rect(b))
    for cell, rect in zip(layout.cells, cells, strict=True):
        assert inside(rect, (0, 0, layout.width, layout.height))
        for box in layout.boxes:
            if set(cell.hosts) <= set(box.hosts):
                assert inside(rect, box_rect(box))
    assert layout.width <= WIDEST + 1e-6


SHAPES: list[tuple[Sequence[int], int]] = [
    ((2,), 0), ((1, 1), 0), ((6, 6, 6), 0), ((29, 32, 31, 1), 0), ((32,) * 16, 4), ((31,) * 62, 8), ((32,) * 100, 16),
    ((1500, 1500), 0), ((2,) * 1536, 192),
]  # fmt: skip


@pytest.mark.parametrize(("leaves", "pods"), SHAPES)
def test_nothing_overlaps(fabrics: Callable[..., Fabric], leaves: Sequence[int], pods: int) -> None:
    layout = lay_out(fabrics(leaves, leaves_per_pod=pods))
    check(layout, sum(leaves))
    assert layout.summary == (sum(leaves) > MOST_CELLS)
    assert len(layout.cells) <= (MOST_SUMMARIES if layout.summary else MOST_CELLS)
    assert layout.height <= 1.3 * TALLEST
    assert not layout.summary or len(layout.cells) >= 100


@pytest.mark.parametrize("hosts", [1, 40, 2000, 9000])
def test_hosts_without_groups(hosts: int) -> None:
    kind = HostType("box", 8, (), 8, 450e9)
    fabric = Fabric("flat", "adaptive", (kind,), tuple(Host(f"n{i}", 0) for i in range(hosts)))
    check(lay_out(fabric), hosts)


def test_islands_are_boxes(fabrics: Callable[..., Fabric]) -> None:
    flat = fabrics((36,), gpus=4)
    islands = (Island("rack-0", tuple(range(18)), 900e9), Island("rack-1", tuple(range(18, 36)), 900e9))
    fabric = Fabric("nvl72", "ecmp", flat.host_types, flat.hosts, flat.tiers, flat.groups, islands)
    layout = lay_out(fabric)
    check(layout, 36)
    assert [box.name for box in layout.boxes] == ["spine", "leaf-0", "rack-0", "rack-1"]
    across = spread(RankPlacement(fabric, np.arange(144)), np.arange(144) // 48)  # 12 hosts a label
    assert levels(fabric) == ("host", "NVLink island", "leaf", "spine", "beyond")
    assert across.tolist() == [[12, 1, 1, 1, 1], [12, 2, 1, 1, 1], [12, 1, 1, 1, 1]]


def test_cells_hold_what_the_placement_says(example: Example) -> None:
    plan, job, _, _ = example
    assert plan.placement is not None
    stage = stage_of_rank(job)
    assert stage is not None
    layout, fabric = lay_out(plan.placement.fabric), plan.placement.fabric
    shares = label_shares(layout, plan.placement, stage_labels(stage))
    assert sum(share.width for share in shares) * 8 == pytest.approx(job.ranks)
    for share in shares:
        (host,) = layout.cells[share.cell].hosts
        ranks = np.flatnonzero((plan.placement.host == host) & (stage == share.label))
        assert share.width == pytest.approx(len(ranks) / fabric.host_gpus[host])
        assert share.tip == f"{fabric.host_names[host]}: stage {share.label}, ranks {ranks[0]}-{ranks[-1]}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_figure_names_hosts_and_stages(example: Example) -> None:
    plan, job, _, _ = example
    assert plan.placement is not None
    svg = fabric_svg(plan.placement.fabric, plan.placement, stage_of_rank(job))
    shown = texts(svg)
    assert {f"node-{i}" for i in range(18)} <= set(shown)
    assert shown.count("0") == 8
    assert "5/6" in shown
    assert "broken or unavailable" in shown
    assert svg == fabric_svg(plan.placement.fabric, plan.placement, stage_of_rank(job))


def test_figure_without_placement_or_stages(fabrics: Callable[..., Fabric]) -> None:
    fabric = fabrics((4, 4))
    assert "usable host" in texts(fabric_svg(fabric))
    assert "6.4 Tb/s up" in texts(fabric_svg(fabric))
    placed = texts(fabric_svg(fabric, RankPlacement(fabric, np.arange(32))))
    assert "ranks 0-1" in placed
    assert "not used" in placed


def test_figures_do_not_follow_the_readers_matplotlibrc(fabrics: Callable[..., Fabric]) -> None:
    import matplotlib

    fabric = fabrics((2, 2))
    plain = fabric_svg(fabric)
    with matplotlib.rc_context({"font.size": 40, "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert fabric_svg(fabric) == plain


def test_large_fabrics_stay_small(fabrics: Callable[..., Fabric]) -> None:
    fabric = fabrics((32,) * 256, leaves_per_pod=16)
    svg = fabric_svg(fabric, RankPlacement(fabric, np.arange(65_536)), np.arange(65_536) // 4096)
    assert len(svg) < 1_000_000
    assert "32/32" in texts(svg)


def test_two_orders_beside_each_other(example: Example) -> None:
    plan, job, _, linear = example
    assert plan.placement is not None
    shown = texts(compare_svg([("before", linear), ("after", plan.placement)], stage_of_rank(job), background="white"))
    assert shown.count("leaf-0") == 2
    assert {"before", "after"} <= set(shown)


def test_loads_agree_with_the_prediction(example: Example) -> None:
    plan, _, traffic, linear = example
    assert plan.placement is not None
    assert plan.prediction is not None
    assert plan.baselines is not None
    kinds = link_classes(linear.fabric, traffic, {"linear": linear.gpu, "plan": plan.placement.gpu})
    assert [kind.name for kind in kinds] == ["NICs", "leaf uplinks"]
    for name, price in (("plan", plan.prediction), ("linear", plan.baselines["linear"])):
        for kind, load in zip(kinds, price.busiest_links, strict=True):
            worst = kind.busiest(name)
            assert kind.ms[name][worst] == pytest.approx(load.ms)
            assert kind.bytes[name][worst] == pytest.approx(load.bytes)
            assert kind.names[worst] == load.link
    assert "NICs, busiest first" in texts(load_svg(kinds[0], "a"))


def test_spread_counts_groups(example: Example) -> None:
    plan = example[0]
    group = expert_group_of_rank(plan)
    assert group is not None
    assert plan.placement is not None
    table = spread(plan.placement, group)
    assert table.shape == (4, 4)  # groups; host, leaf, spine, all
    for label in range(4):
        leaves = {plan.placement.fabric.host_group[h] for h in plan.placement.host[group == label]}
        assert table[label, 1] == len(leaves)
        assert table[label, 2] == 1


def test_labels() -> None:
    labels = rank_labels(100)
    assert labels.names[0] == "0-7"
    assert labels.names[-1] == "96-99"
    assert len(set(labels.colours)) == len(labels.names) == 13
    assert ink_on("#471365") == "#ffffff"
    assert ink_on("#dfe318") == "#000000"
