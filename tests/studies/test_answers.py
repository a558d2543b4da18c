"""Each question's answer follows from the numbers of its table."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from topoplan.errors import InputError
from topoplan.studies.answers import RULES, answer
from topoplan.studies.fronts import fronts
from topoplan.studies.model import FabricVariant, Failure, JobVariant, Scenario, Value
from topoplan.studies.outcome import INFEASIBLE, INVALID, OK, Outcome
from topoplan.studies.summary import advice
from topoplan.studies.table import Table, table

LEAF = Failure("leaf", "leaf-0", (0,), (), 1)


def row(
    ms: float | None,
    order: str = "plan",
    fabric: str = "pods",
    varied: Mapping[str, Value] | None = None,
    failure: Failure | None = None,
    after: str = "",
    uplink: float = 1e9,
    **outcome: object,
) -> tuple[Scenario, Outcome]:
    """A scenario and its outcome; without ms it has no price."""
    variant = FabricVariant(fabric, varied or {}, None, fabric)
    key = repr((order, fabric, varied, failure, after))
    scenario = Scenario(
        key, variant, JobVariant("moe", {}, None, "moe"), order, "quick", 0, failure or Failure(), after
    )
    data = {"status": OK if ms is not None else INFEASIBLE, "exposed_ms": ms, "ranks": 64, "nic_bytes_per_s": 1e9}
    return scenario, Outcome(**(data | {"uplink_bytes_per_s": uplink} | outcome))  # type: ignore[arg-type]


def of(*rows: tuple[Scenario, Outcome]) -> Table:
    return table([s for s, _ in rows], {s.key: o for s, o in rows})


def verdict(question: str, *rows: tuple[Scenario, Outcome], tolerance: float = 0.05) -> str:
    return " ".join(answer(question, of(*rows), tolerance).sentences)


def over(ratio: float, ms: float | None) -> tuple[Scenario, Outcome]:
    return row(ms, varied={"oversubscription.top": ratio}, uplink=1e9 / ratio)


def test_oversubscription_that_a_job_stands() -> None:
    said = verdict("oversubscription", over(1, 100), over(2, 102), over(4, 104.9), over(8, 130))
    assert "the limit is 4:1." in said
    assert "moe on pods stands 4:1, which costs 4.9 %; 8:1 costs 30.0 %." in said
    # once it is too slow, a faster one beyond is no limit
    assert "the limit is 1:1" in verdict("oversubscription", over(1, 100), over(2, 110), over(4, 101))
    assert "no higher one was tried" in verdict("oversubscription", over(1, 100), over(2, 100))
    assert "Nothing can be said" in verdict("oversubscription", over(1, 100), over(2, None))


def test_the_best_order_answers_for_a_fabric() -> None:
    plain = row(150, "linear", varied={"oversubscription.top": 2})
    assert "stands 2:1" in verdict("oversubscription", over(1, 100), over(2, 101), plain)


def test_hardware_that_exposes_least() -> None:
    said = verdict(
        "hardware",
        row(100, fabric="racks", axes_ms={"ep": 90, "dp": 10}),
        row(300, fabric="boxes", axes_ms={"ep": 280, "dp": 20}),
        row(102, fabric="others"),
    )
    assert "racks exposes the least communication" in said
    assert "3.00 times of it on boxes (mostly ep: 280 ms against 90.0 ms)" in said
    assert "about as much on others (2.0 %)" in said


def routed(kind: str, order: str, ms: float) -> tuple[Scenario, Outcome]:
    return row(ms, order, varied={"routing": kind})


def test_what_hashing_costs() -> None:
    random = (routed("adaptive", "random", 100), routed("ecmp", "random", 160))
    said = verdict("routing", *random, routed("adaptive", "plan", 100), routed("ecmp", "plan", 101))
    assert said.startswith("ECMP will do: with the planned order it costs at most 1.0 %.")
    assert "hashing costs 60.0 % with the random order, 1.0 % with plan." in said
    said = verdict("routing", *random, routed("adaptive", "plan", 100), routed("ecmp", "plan", 120))
    assert said.startswith("Adaptive routing pays: even with the planned order ECMP costs 20.0 %.")


def lost(after: str, ms: float | None) -> tuple[Scenario, Outcome]:
    return row(ms, failure=LEAF, after=after, before_ms=100.0, moved=8)


def test_what_a_failure_costs() -> None:
    said = verdict("leaf-loss", row(100), lost("keep", 120), lost("replan", 101))
    assert "At worst a failure costs 20.0 % more" in said
    assert "costs 20.0 % when the first free hosts take over, 1.0 % replanned: replanning helps." in said
    assert "replanning changes little" in verdict("leaf-loss", lost("keep", 101), lost("replan", 101))
    said = verdict("leaf-loss", lost("keep", None), lost("replan", 101))
    assert "1 of 2 cases cannot go on for want of hosts" in said
    assert "replanning helps." in said
    assert "costs the job (too few hosts are left)" in verdict("leaf-loss", lost("keep", None), lost("replan", None))


def test_whether_the_order_matters() -> None:
    said = verdict("host-order", row(100), row(101, "linear"), row(400, "random"))
    assert said.startswith("The order of hosts matters in the one case, by up to 4.0 times.")
    assert "worse than the best order are random (4.0 times)." in said
    said = verdict("host-order", row(100), row(101, "linear"))
    assert said.startswith("The order of hosts does not matter here: no order costs more than 1.0 %.")
    assert "all orders are the same" in verdict("host-order", row(100), row(100, "linear"))


@pytest.mark.parametrize("question", [q for q in RULES if q not in ("hardware", "host-order")])
def test_a_table_that_does_not_vary_what_is_asked(question: str) -> None:
    with pytest.raises(InputError, match="this question needs"):
        answer(question, of(row(100), row(100, "linear")), 0.05)


@pytest.mark.parametrize("question", ["hardware", "host-order"])
def test_nothing_to_compare(question: str) -> None:
    said = answer(question, of(row(100)), 0.05)
    assert said.sentences == ("Nothing can be said: there is nothing to compare.",)
    said = answer(question, of(row(None, status=INVALID, reason="too wide")), 0.05)
    assert said.sentences == ("Nothing can be said: too wide.",)


def test_unknown_questions() -> None:
    with pytest.raises(InputError, match="no rule answers 'why'"):
        answer("why", of(row(1)), 0.05)


def test_advice_names_the_knee() -> None:
    rows = [over(1, 100), over(2, 100.5), over(4, 102), over(8, 200), over(16, 400)]
    (front,) = fronts(of(*rows))
    text = advice(front)
    assert text.startswith("moe: the knee is pods, oversubscription 4, 102 ms at")
    assert "2.0 % above the fastest with" in text
    (flat,) = fronts(of(over(1, 100), over(2, 100)))
    assert "more of it gains nothing" in advice(flat)
    (line,) = fronts(of(over(1, 100), over(2, 200)))
    assert "have no knee; they go from 200 ms" in advice(line)
    assert fronts(of(row(100), row(90, fabric="other"))) == ()  # the same bandwidth: nothing to choose
