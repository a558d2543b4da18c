"""The report for those who read one table: questions a decision hangs on, each with an answer and a reason."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.model.plan import Plan, Prediction
from topoplan.reports.amounts import SAME, change, counted, milliseconds, percent
from topoplan.reports.cost_section import cost_section
from topoplan.reports.sensitivity_section import broken_words, gained, measure, most_helpful
from topoplan.reports.tables import bound_rows
from topoplan.reports.view import ReportInput

NOTHING = 0.005  # exposed time that differs by less than this share is called the same, as where plans are made
_ORDERS = {"linear": "physical order", "strings": "names sorted as text", "random": "random order"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its answer, and what the answer rests on."""

    question: str
    answer: str
    reason: str


def executive_rows(view: ReportInput) -> list[Answer]:
    """Rows of the table; none without a price."""
    plan = view.plan
    if plan.prediction is None:
        return []
    rows = [*_step(plan), _order(plan, plan.prediction), _bound_by(plan, plan.prediction)]
    rows += [*_waiting(view), *_distance(plan)]
    if view.sensitivity is not None and view.sensitivity.effects:
        rows += _changes(view)
    return rows


def _step(plan: Plan) -> list[Answer]:
    if plan.step is None:
        return []
    step = plan.step
    mfu = "" if step.mfu is None else f", MFU {percent(step.mfu)}"
    share = percent(step.exposed_s / step.total_s)
    reason = f"{share} of it is exposed communication, {percent(step.bubble_s / step.total_s)} waiting in the pipeline"
    return [Answer("How long is a step?", f"{milliseconds(1e3 * step.total_s)}{mfu}", f"{reason} ({step.schedule})")]


def _order(plan: Plan, price: Prediction) -> Answer:
    slower = {name: change(other.exposed_ms, price.exposed_ms) for name, other in (plan.baselines or {}).items()}
    said = ", ".join(f"{_ORDERS.get(name, name)} {_more(more)}" for name, more in slower.items())
    worst = max(slower.values(), default=0.0)
    answer = f"yes, up to {percent(worst, signed=True)}" if worst >= NOTHING else "no"
    reason = f"exposed time against this plan: {said}" if said else ""
    if plan.step is not None and plan.plain_step_s:
        longer = [change(seconds, plan.step.total_s) for seconds in plan.plain_step_s.values()]
        most = max(longer)
        reason += f"; whole steps: {'at most ' if most >= SAME else ''}{_more(most)}"
    return Answer("Does the order of hosts matter?", answer, reason)


def _more(share: float) -> str:
    """A change in words: "+3.0 %", "the same"."""
    return "the same" if abs(share) < SAME else percent(share, signed=True)


def _bound_by(plan: Plan, price: Prediction) -> Answer:
    """The axis that exposes most, what hashing adds, and the busiest link."""
    exposed = dict(price.axes) if plan.step is None else {axis.name: axis.exposed_s for axis in plan.step.axes}
    if price.exposed_ms <= 0 or not price.axes:
        return Answer("What takes the time?", "no communication", "nothing leaves a GPU")
    if sum(exposed.values()) <= 0:
        return Answer("What takes the time?", "no communication", "compute hides all of it")
    axis = max(exposed, key=lambda name: exposed[name])
    hashing = change(price.exposed_ms, price.ideal_ms)
    link = max(price.busiest_links, key=lambda load: load.ms, default=None)
    reason = f"uneven hashing adds {percent(hashing)} to perfect spreading" if hashing >= NOTHING else (
        "uneven spreading adds nothing"
    )  # fmt: skip
    if link is not None:
        reason += f"; busiest link: {link.link}, {milliseconds(link.ms)}"
    share = percent(exposed[axis] / sum(exposed.values()))
    return Answer("What takes the time?", f"{axis}, {share} of exposed time", reason)


def _waiting(view: ReportInput) -> list[Answer]:
    cost = cost_section(view)
    if cost is None:
        return []
    paid = f", {cost['waiting_sum']}" if cost["waiting_sum"] else ""
    reason = (
        f"all {view.plan.placement.ranks:,} GPUs wait while communication is exposed" if view.plan.placement else ""
    )
    return [Answer("What does waiting cost?", f"{cost['waiting']} GPU-hours each {cost['steps']} steps{paid}", reason)]


def _distance(plan: Plan) -> list[Answer]:
    for name, row in zip(plan.certificate or {}, bound_rows(plan), strict=True):
        if name == plan.objective:
            answer = "none" if row.verdict == "proven best" else f"at most {row.gap}"
            return [Answer("How much better could any order be?", answer, f"{row.value} against a lower bound of "
                           f"{row.lower_bound}; {row.space}")]  # fmt: skip
    return []


def _within(name: str) -> str:
    """A name inside a sentence: "One more spine" begins small, "NICs" does not."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def _changes(view: ReportInput) -> list[Answer]:
    found = view.sensitivity
    assert found is not None
    best, idle = most_helpful(found)
    rows = []
    if best is not None and best.best is not None:
        saved = f"{percent(gained(found, best.best), signed=True)} {measure(found)}"
        rows.append(Answer("What would help most?", f"{best.change.name}: {saved}", best.change.how))
    if idle:
        reason = f"less than 1 % {measure(found)} each: {', '.join(map(_within, idle))}"
        rows.append(Answer("What is not worth buying?", counted(len(idle), "change"), reason))
    broken = broken_words(found)
    if broken:
        what, _, after = broken.partition(": ")
        rows.append(Answer("What if a leaf breaks?", after, what))
    return rows
