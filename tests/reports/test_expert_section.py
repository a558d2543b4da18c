"""The expert part of a report: what is compared, drawn and said."""

from __future__ import annotations

import re

import numpy as np
import pytest

from topoplan.model.experts import ExpertPlacement
from topoplan.model.plan import Plan
from topoplan.planning.expert_balance import Balance
from topoplan.planning.expert_choice import Candidate, Choice
from topoplan.planning.expert_curve import Curve, CurvePoint
from topoplan.planning.expert_engines import Engine, Judgement
from topoplan.planning.expert_moves import ChunkRow, Migration
from topoplan.planning.expert_outcome import ExpertOutcome, Foretold, Survival
from topoplan.planning.expert_slots import SlotRow, SlotSweep
from topoplan.reports.expert_curves import curve_svg, gain_svg, memory_svg, times_svg
from topoplan.reports.expert_figure import balance_svg, heat_svg, sharing
from topoplan.reports.expert_section import ExpertView, expert_section, expert_verdict, trivial_placement
from topoplan.reports.expert_tables import judgement_lines
from topoplan.reports.html import ReportInput, render_html
from topoplan.reports.tables import expert_rows

LOAD = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 9.0]])
MAP = ExpertPlacement(2, np.array([[0, 3, 0, 1, 2, 3], [3, 0, 1, 3, 2, 1]]), lower_bound=np.array([5.0, 6.0]))
MAP = MAP.with_max_load(LOAD, np.ones(2))
PLAN = Plan("serve", "lab", {}, 0, experts=MAP)


def sweep(*, sized: bool = True) -> SlotSweep:
    rows = tuple(
        SlotRow(8 + i, 32 * (8 + i), 0.7 + i / 10, 0.1 if i == 1 else -0.002, 2e10 + i * 2e9, 4e5 - 1e5 * i, 1 - i / 10)
        for i in range(3)
    )
    bare = tuple(SlotRow(row.per_gpu, row.slots, row.balance, row.gain, None, None, None) for row in rows)
    return SlotSweep(rows if sized else bare, 9, "that is most")


CURVE = Curve(
    (CurvePoint(0.99, 2.4), CurvePoint(0.95, 2.2)), CurvePoint(0.98, 2.31), CurvePoint(0.995, 2.7), layers=4, of=58
)


def outcome() -> ExpertOutcome:
    """One with every part."""
    engines = tuple(Engine(rule, 0.97, 0.9, 0.96, 2.5, 1e6, 2e6, 3e6, 1.0, 2.0, 1.5) for rule in ("even", "weights"))
    return ExpertOutcome(
        PLAN,
        Balance.of(MAP, LOAD, np.ones(2)),
        Survival("leaf", 2, 2, 0, 0.99),
        Migration(
            5, 0.1, 1e9, 0.01, 0.8, 0.9, (1,), ("n3:0",), (ChunkRow((0,), 5, 1e9, 1e8, 2e8, 3e8, 4e8, 0.01),), ()
        ),
        Judgement("low-latency", 4096, 8192.0, 0.95, "rule", 2, 2, engines),
        sweep(),
        Foretold(6, "mean", 2, {"mean": 0.9, "ewma 0.5": 0.8}),
        CURVE,
        Choice(
            1, (Candidate("any host", 0.99, 2.7, 1, 2, 3, 6), Candidate("groups whole", 0.9, 2.3, 1, 2, 2, 5)), 4, 58
        ),
    )


def test_every_part_is_on_the_page() -> None:
    page = render_html(ReportInput(PLAN, "c", load=LOAD, outcome=outcome()))
    for words in (
        "Under each engine&#39;s rule", "low-latency kernels, 4,096 tokens a batch", "Balance against remote hosts",
        "this plan *", "Slots of a GPU", "Recommended: 9 slots a GPU: that is most.", "losing any one loses no expert",
        "Keeping 2 copies on different leaves costs", "Moves from the previous plan", "Others stand in for lost GPUs",
        "Forecast", "mean *", "groups whole *", "Planned: groups whole, for the least predicted time",
        "2.50</b>", "4.50 ms</b>",
    ):  # fmt: skip
        assert words in page, words
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<svg") == 8  # balance, two of GPU loads, rules, kinds, curve, gain, memory
    for element in re.findall(r"<svg [^>]*>", page):
        assert 'role="img"' in element


def test_engines_start_with_every_expert_in_turn() -> None:
    trivial = trivial_placement(MAP)
    assert trivial.physical_to_logical_map.tolist() == [[0, 1, 2, 3, 0, 1]] * 2
    verdict = expert_verdict(ExpertView(PLAN, LOAD))
    was = trivial.gpu_load(LOAD).max(1) / LOAD.sum(1) * 2
    assert f"without a plan: {was.mean():.2f} times" in verdict
    assert "copies used evenly" not in verdict


def test_the_plan_in_force_is_what_is_compared_with() -> None:
    old = ExpertPlacement(2, np.array([[0, 1, 2, 3, 0, 1], [0, 1, 3, 2, 0, 1]]))
    section = expert_section(ExpertView(PLAN, LOAD, before=old))
    assert section is not None
    assert section["figures"][0].caption.startswith("Previous plan: ")
    assert "previous plan: " in expert_verdict(ExpertView(PLAN, LOAD, before=old))
    other = ExpertPlacement(3, old.physical_to_logical_map)  # another number of GPUs: no comparison
    assert "without a plan: " in expert_verdict(ExpertView(PLAN, LOAD, before=other))


def test_weights_are_set_beside_even_use() -> None:
    weights = np.where(MAP.physical_to_logical_map == 0, [[3, 1, 1, 1, 1, 1]], 1.0)
    plan = Plan("serve", "lab", {}, 0, experts=ExpertPlacement(2, MAP.physical_to_logical_map, dispatch=weights))
    even = (MAP.gpu_load(LOAD).max(1) / LOAD.sum(1) * 2).mean()
    assert f"copies used evenly: {even:.2f} times" in expert_verdict(ExpertView(plan, LOAD))


@pytest.mark.parametrize("load", [None, np.ones((3, 4))])
def test_without_a_load_that_fits_nothing_is_drawn(load: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    section = expert_section(ExpertView(PLAN, load))
    assert section is not None
    assert section["figures"] == []
    assert section["balance"] is None
    assert expert_verdict(ExpertView(PLAN, load)) == ""


def test_weights_that_no_map_holds_are_warned_of() -> None:
    def lines(even: float) -> str:
        engines = tuple(Engine(rule, b, b, b, 2.5) for rule, b in (("even", even), ("weights", 0.98)))
        return " ".join(judgement_lines(Judgement("normal", 4096, 8192.0, 0.95, "trace", 2, 2, engines)))

    assert "uses copies evenly gets a balance of 0.760" in lines(0.76)
    assert "plan without --routes" not in lines(0.97)


# ---- figures ---------------------------------------------------------------------------------------------------


def test_many_gpus_and_layers_share_cells_and_the_page_stays_small() -> None:
    load = np.random.default_rng(0).lognormal(0, 0.5, (94, 320))
    load[93, 319] = 9.0
    text = heat_svg("before", load, range(94), "h")
    assert len(text) < 300_000
    assert "to 9.00." in text
    assert sharing(320, 94) == "A cell is the busiest of 10 GPUs and 2 layers."
    assert sharing(32, 58) == ""
    assert heat_svg("x", np.ones((2, 4)), (3, 4), "h") == heat_svg("x", np.ones((2, 4)), (3, 4), "h")


def test_a_shade_stands_for_one_span_of_loads() -> None:
    level = heat_svg("x", np.ones((2, 4)), (0, 1), "h")
    mixed = heat_svg("x", np.array([[1.0, 1.0, 2.5, 0.5]] * 2), (0, 1), "h")

    def cells(text: str) -> int:
        """Rectangles with corners inside the axes: those of the legend have another path."""
        return sum(path.count("M ") for path in re.findall(r'<path d="([^"]*)" clip-path', text))

    assert (cells(level), cells(mixed)) == (2, 6)  # equal neighbours of a row are one


def test_balance_before_is_drawn_beside_the_bound() -> None:
    rows = expert_rows(MAP, LOAD)
    with_it, without = balance_svg(rows, "b", [0.5, 0.25], "previous plan"), balance_svg(rows, "b")
    assert "Previous plan: 0.250 to 0.500." in with_it
    assert "previous plan" in with_it
    assert "revious plan" not in without


def test_curves_say_what_they_show() -> None:
    assert "Dispatch, experts and combine of a layer. a 6.00 ms; b 3.00 ms." in times_svg(
        "t", ["a", "b"], [(1, 2, 3), (1, 1, 1)], "t"
    )
    text = curve_svg(CURVE, "c")
    assert "2 ways between balance 0.990 at 2.40 remote hosts a token and 0.950 at 2.20" in text
    assert "This plan: 0.980 at 2.31; balance alone: 0.995 at 2.70." in text
    assert "Slot 9 saves most: 10.0 % of a layer" in gain_svg(sweep(), "g")
    assert "20.0 GB at 8 slots a GPU to 24.0 GB at 10" in memory_svg(sweep(), "m")
    assert memory_svg(sweep(sized=False), "m") == ""
    assert "Recommended: 9." in gain_svg(sweep(sized=False), "g")
