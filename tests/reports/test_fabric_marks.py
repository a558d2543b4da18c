"""What a figure of a bare fabric marks: islands, planes, rails, broken GPUs; and that small groups stay on the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.reports.test_figures import check, texts
from topoplan.model.fabric import Fabric
from topoplan.planning.inputs import open_fabric
from topoplan.reports.fabric_figure import fabric_svg, reading_help
from topoplan.reports.layout import TALLEST, lay_out
from topoplan.reports.svg import GREEN, VERMILION

SVG = "{http://www.w3.org/2000/svg}"


def fabric(spec: str) -> Fabric:
    return open_fabric(spec).fabric


@pytest.mark.parametrize("racks", [40, 192])
def test_many_small_groups_stay_on_a_page(racks: int) -> None:
    it = fabric(f"meta-roce-24k:pods=5,racks={racks}")
    layout = lay_out(it)
    check(layout, len(it.hosts))
    assert not layout.summary
    assert layout.height <= TALLEST
    nameless = {box.name for box in layout.boxes if not box.titled}
    assert nameless == (set() if racks == 40 else {group.name for group in it.groups if group.tier == 0})
    assert ("no room for their names" in reading_help(it)) == bool(nameless)
    if nameless:
        assert not nameless & set(texts(fabric_svg(it)))
        tips = [element.text for element in ET.fromstring(fabric_svg(it)).iter(f"{SVG}title")]
        assert "host-2-7-1 in rack-2-7: 8 GPUs" in tips


def test_planes_and_rails_are_written() -> None:
    it = fabric("alibaba-hpn7:segments=2")
    layout = lay_out(it)
    check(layout, len(it.hosts))
    assert [(box.name, box.planes) for box in layout.boxes] == [
        ("agg-1-p0 + agg-1-p1", 2),
        ("seg-1-1-p0 + seg-1-1-p1", 2),
        ("seg-1-2-p0 + seg-1-2-p1", 2),
    ]
    svg = fabric_svg(it)
    assert {"seg-1-1-p0 + seg-1-1-p1", "2 planes x 8 rails, 2 x 192 Tb/s up", "2 planes"} <= set(texts(svg))
    described = next(element.text for element in ET.fromstring(svg).iter(f"{SVG}desc"))
    assert described is not None
    assert "with 8 rails, 2 planes" in described


def test_islands_have_their_own_edge_and_legend() -> None:
    svg = fabric_svg(fabric("gb200-nvl72:racks=2,broken=1"))
    shown = texts(svg)
    assert {"rack-1", "NVLink island of 72 GPUs", "NVLink island", "4 GPUs"} <= set(shown)
    assert GREEN in svg
    assert "gb200-nvl72: 36 hosts, 144 GPUs (4 broken or unavailable)" in shown
    assert GREEN not in fabric_svg(fabric("azure-ndv5:units=1"))


def test_broken_hosts_are_crossed() -> None:
    whole, broken = (fabric_svg(fabric(f"azure-ndv5:units=1,broken={n}")) for n in (0, 2))
    assert VERMILION not in whole
    assert VERMILION in broken
    assert "broken or unavailable" in texts(broken)
    assert texts(broken).count("8 GPUs") == 30
    partly = texts(fabric_svg(fabric("two-pods-fragmented")))
    assert "7 of 8" in partly


@pytest.mark.parametrize("spec", ["aws-p5:spines=1,leaves=1,hosts=8", "dgx-b200-superpod:units=62", "meta-roce-24k"])
def test_alt_text_and_no_text_smaller_than_six_points(spec: str) -> None:
    root = ET.fromstring(fabric_svg(fabric(spec)))
    assert root.attrib["role"] == "img"
    assert len([child for child in root if child.tag in {f"{SVG}title", f"{SVG}desc"}]) == 2
    styles = [element.attrib["style"] for element in root.iter(f"{SVG}text")]
    fonts = [float(size) for style in styles for size in re.findall(r"font-size: ([0-9.]+)px", style)]
    assert fonts
    assert min(fonts) >= 6
    assert float(root.attrib["width"]) <= 930
