"""Questions of planners, answered in words from the table of a study: a rule each, no sentence written beforehand."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from topoplan.errors import InputError
from topoplan.studies.evaluate import KEEP, PLAIN, PLAN, REPLAN
from topoplan.studies.fronts import described
from topoplan.studies.table import Row, Table

Key = TypeVar("Key", bound=Hashable)

_LEAST = 0.0005  # share below which one decimal of a per cent shows nothing
_SAME = 0.005  # exposed time that differs by less than this share is called the same, as in plans


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in words and the numbers that it rests on, both as text.

    Parameters
    ----------
    sentences
        The verdict first, then one for each case.
    columns, rows
        The table that the sentences were made from.
    """

    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def answer(question: str, table: Table, tolerance: float) -> Answer:
    """What a table says to a question.

    Parameters
    ----------
    tolerance
        Share by which exposed time may grow and still be called acceptable.

    Raises
    ------
    InputError
        No such question, or a table that does not vary what it asks about.
    """
    if question not in RULES:
        raise InputError(f"no rule answers {question!r}", hint=f"questions: {', '.join(RULES)}")
    return RULES[question](table, tolerance)


# ---- how much oversubscription can a job stand --------------------------------------------------------------------


def _oversubscription(table: Table, tolerance: float) -> Answer:
    key = _varied(table, "oversubscription", "fabrics that vary oversubscription")
    sentences, rows, stood = [], [], []
    for (job, fabric), cases in _cases(table, lambda row: (_job(row), described(row, "fabric", [key]))):
        by_ratio = {float(row.varied[key]): row for row in _best(cases, lambda row: row.varied[key]).values()}
        if len(by_ratio) < 2:
            continue
        first, *more = ratios = sorted(by_ratio)
        loss = {ratio: by_ratio[ratio].ms / by_ratio[first].ms - 1 for ratio in ratios}
        within = [ratio for i, ratio in enumerate(ratios) if all(loss[r] <= tolerance for r in ratios[: i + 1])]
        limit = within[-1]
        stood.append(limit)
        text = f"{job} on {fabric} stands {limit:g}:1"
        text += f", which costs {_share(loss[limit])}" if limit != first else ", the least that was tried"
        beyond = [ratio for ratio in more if ratio > limit]
        text += f"; {beyond[0]:g}:1 costs {_share(loss[beyond[0]])}." if beyond else "; no higher one was tried."
        sentences.append(text)
        rows += [(job, fabric, f"{r:g}:1", _ms(by_ratio[r].ms), _share(loss[r])) for r in ratios]
    if not sentences:
        return _nothing(table)
    low, high = min(stood), max(stood)
    span = f"{low:g}:1" if low == high else f"{low:g}:1 to {high:g}:1, depending on job and fabric"
    verdict = f"With at most {_share(tolerance)} more exposed communication accepted, the limit is {span}."
    columns = ("job", "fabric", "oversubscription", "exposed", "more than the least")
    return Answer((verdict, *sentences), columns, tuple(rows))


# ---- one kind of machine or another -------------------------------------------------------------------------------


def _hardware(table: Table, tolerance: float) -> Answer:
    sentences, rows, wins = [], [], []
    for (job,), cases in _cases(table, lambda row: (_job(row),)):
        ranked = sorted(_best(cases, lambda row: described(row, "fabric")).items(), key=lambda item: item[1].ms)
        rows += [(job, name, f"{row.outcome.ranks:,}", _ms(row.ms), _axes(row)) for name, row in ranked]
        if len(ranked) < 2:
            continue
        (best, fast), *others = ranked
        wins.append(best)
        text = [
            f"{_times(row.ms / fast.ms)} of it on {name}{_because(row, fast)}"
            if row.ms > fast.ms * (1 + tolerance)
            else f"about as much on {name} ({_share(row.ms / fast.ms - 1)})"
            for name, row in others
        ]
        sentences.append(
            f"{job} on {fast.outcome.ranks:,} GPUs exposes {_ms(fast.ms)} of communication a step on {best}, "
            f"{_and(text)}."
        )
    if not sentences:
        return _nothing(table)
    leaders = sorted(set(wins), key=lambda name: (-wins.count(name), name))
    verdict = f"{leaders[0]} exposes the least communication for {_some(wins.count(leaders[0]), len(wins), 'job')}."
    verdict += " Communication alone is compared: what the GPUs compute faster comes on top."
    return Answer((verdict, *sentences), ("job", "fabric", "GPUs", "exposed", "axes"), tuple(rows))


def _because(slow: Row, fast: Row) -> str:
    """The axis that makes most of a difference."""
    axes = slow.outcome.axes_ms
    extra = {axis: ms - fast.outcome.axes_ms.get(axis, 0.0) for axis, ms in axes.items()}
    if not extra or max(extra.values()) <= 0:
        return ""
    axis = max(extra, key=lambda a: extra[a])
    return f" (mostly {axis}: {_ms(axes[axis])} against {_ms(fast.outcome.axes_ms.get(axis, 0.0))})"


# ---- ECMP or adaptive routing -------------------------------------------------------------------------------------


def _routing(table: Table, tolerance: float) -> Answer:
    key = _varied(table, "routing", "fabrics that vary routing over ecmp and adaptive")
    sentences, rows, least = [], [], []
    for (job, fabric), cases in _cases(table, lambda row: (_job(row), described(row, "fabric", [key]))):
        loss = {}
        for order, same in _grouped(cases, lambda row: row.scenario.order).items():
            by = _best(same, lambda row: row.varied[key])
            if {"ecmp", "adaptive"} <= set(by):
                loss[order] = by["ecmp"].ms / by["adaptive"].ms - 1 if by["adaptive"].ms > 0 else 0.0
                rows.append((job, fabric, order, _ms(by["adaptive"].ms), _ms(by["ecmp"].ms), _share(loss[order])))
        if not loss:
            continue
        best, worst = min(loss, key=lambda o: (loss[o], o != PLAN)), max(loss, key=lambda o: loss[o])
        least.append(loss.get(PLAN, loss[best]))
        text = f"{job} on {fabric}: hashing costs {_share(loss[worst])} with the {worst} order"
        sentences.append(text + (f", {_share(loss[best])} with {best}." if loss[worst] - loss[best] > _SAME else "."))
    if not sentences:
        return _nothing(table)
    small = sum(loss <= tolerance for loss in least)
    if small == len(least):
        verdict = f"ECMP will do: with the planned order it costs at most {_share(max(least))}."
    elif small:
        verdict = (
            f"It depends: ECMP costs {_share(tolerance)} or less with the planned order in {small} of "
            f"{len(least)} cases, up to {_share(max(least))} in the others."
        )
    else:
        costs = " to ".join(dict.fromkeys((_share(min(least)), _share(max(least)))))
        verdict = f"Adaptive routing pays: even with the planned order ECMP costs {costs}."
    return Answer((verdict, *sentences), ("job", "fabric", "order", "adaptive", "ecmp", "ecmp costs"), tuple(rows))


# ---- what a failure costs, and whether replanning helps -----------------------------------------------------------


def _losses(table: Table, tolerance: float) -> Answer:
    broken = [row for row in table.rows if not row.healthy and row.outcome.status != "invalid"]
    if not broken:
        raise InputError("this question needs failures in the study", hint="failures: [{each: leaf}]")
    sentences, rows, helped = [], [], []
    for (job, fabric, order, what), cases in _grouped(
        broken, lambda row: (*_pair(row), row.scenario.order, _lost(row))
    ).items():
        by = _grouped(cases, lambda row: row.scenario.after)
        told = {after: _Loss.of(same) for after, same in sorted(by.items())}
        for after, loss in told.items():
            rows.append((job, fabric, order, what, after, *loss.cells()))
        who = f"{job} on {fabric}, {order} order: losing {what}"
        keep, again = told.get(KEEP), told.get(REPLAN)
        if keep is None or again is None:
            sentences.append(f"{who} costs {(keep or again or _Loss.of([])).words()}.")
            continue
        gain = max(keep.mean - again.mean, keep.worst - again.worst) if again.priced else 0.0
        helped.append(gain > _SAME or keep.priced < again.priced)
        text = f"{who} costs {keep.words()} when the first free hosts take over, {again.words()} replanned"
        sentences.append(f"{text}: " + ("replanning helps." if helped[-1] else "replanning changes little."))
    worst = max((row.ms / row.outcome.before_ms - 1 for row in broken if row.outcome.before_ms), default=0.0)
    stuck = sum(not row.outcome.ok for row in broken)
    verdict = f"At worst a failure costs {_share(worst if math.isfinite(worst) else 0.0)} more exposed communication"
    verdict += f", and {_some(stuck, len(broken), 'case')} cannot go on for want of hosts" if stuck else ""
    verdict += f". Replanning helps in {_some(sum(helped), len(helped), 'comparison')}." if helped else "."
    columns = ("job", "fabric", "order", "lost", "after", "cases", "mean", "worst", "ranks moved", "stuck")
    return Answer((verdict, *sentences), columns, tuple(rows))


@dataclass(frozen=True, slots=True)
class _Loss:
    """What failures of one kind cost, as shares of the exposed time before."""

    cases: int
    priced: int
    mean: float
    worst: float
    moved: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Loss:
        priced = [row for row in rows if row.outcome.ok and row.outcome.before_ms]
        loss = [row.ms / (row.outcome.before_ms or 1.0) - 1 for row in priced] or [0.0]
        moved = [float(row.outcome.moved) for row in priced] or [0.0]
        return cls(len(rows), len(priced), fmean(loss), max(loss), fmean(moved))

    def words(self) -> str:
        if not self.priced:
            return "the job (too few hosts are left)"
        alike = abs(self.worst - self.mean) <= _SAME
        return _share(self.mean) + ("" if alike else f" on average and {_share(self.worst)} at worst")

    def cells(self) -> tuple[str, ...]:
        none = not self.priced
        values = (_share(self.mean), _share(self.worst), f"{self.moved:,.0f}")
        return (f"{self.cases}", *("-" if none else value for value in values), f"{self.cases - self.priced}")


def _lost(row: Row) -> str:
    failure = row.scenario.failure
    return f"a {failure.kind}" if failure.count == 1 else f"{failure.count} {failure.kind}s"


# ---- does the order of hosts matter -------------------------------------------------------------------------------


def _host_order(table: Table, tolerance: float) -> Answer:
    sentences, rows, spans = [], [], []
    for (job, fabric), cases in _cases(table, _pair):
        by = _best(cases, lambda row: row.scenario.order)
        if len(by) < 2:
            continue
        least = min(row.ms for row in by.values())
        loss = {order: row.ms / least - 1 if least > 0 else 0.0 for order, row in by.items()}
        rows += [
            (job, fabric, order, _ms(by[order].ms), _share(loss[order])) for order in (*PLAIN, PLAN) if order in by
        ]
        spans.append(max(loss.values()))
        costly = [f"{order} ({_share(loss[order])})" for order in loss if loss[order] > tolerance]
        alike = max(share for share in loss.values() if share <= tolerance)
        if not costly:
            same = f"no order costs more than {_share(alike)}" if alike >= _LEAST else "all orders are the same"
            sentences.append(f"{job} on {fabric}: {same}.")
        else:
            sentences.append(f"{job} on {fabric}: worse than the best order are {_and(costly)}.")
    if not sentences:
        return _nothing(table)
    matters = sum(span > tolerance for span in spans)
    if matters:
        verdict = f"The order of hosts matters in {_some(matters, len(spans), 'case')}, by up to {_share(max(spans))}."
    else:
        verdict = f"The order of hosts does not matter here: no order costs more than {_share(max(spans))}."
    return Answer((verdict, *sentences), ("job", "fabric", "order", "exposed", "more than the best"), tuple(rows))


Rule = Callable[[Table, float], Answer]
RULES: Mapping[str, Rule] = {
    "oversubscription": _oversubscription,
    "hardware": _hardware,
    "routing": _routing,
    "leaf-loss": _losses,
    "host-order": _host_order,
}


# ---- what the rules share -----------------------------------------------------------------------------------------


def _varied(table: Table, what: str, needs: str) -> str:
    """The parameter of fabrics that a question is about."""
    keys = [key for key in table.varied if key.startswith("fabric.") and what in key]
    if not keys:
        raise InputError(f"this question needs {needs}", hint=f"vary: {{{what}: [...]}}")
    return keys[0]


def _grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Rows by key, keys in the order of their first row."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)


def _best(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, Row]:
    """The fastest row of each key."""
    return {found: min(same, key=lambda row: row.ms) for found, same in _grouped(rows, key).items()}


def _cases(table: Table, key: Callable[[Row], Key]) -> Iterable[tuple[Key, list[Row]]]:
    """Rows with a price and nothing broken, by key."""
    return _grouped([row for row in table.rows if row.healthy and row.outcome.ok], key).items()


def _pair(row: Row) -> tuple[str, str]:
    return _job(row), described(row, "fabric")


def _job(row: Row) -> str:
    return described(row, "job")


def _nothing(table: Table) -> Answer:
    reasons = list(dict.fromkeys(row.outcome.reason for row in table.rows if row.outcome.reason))
    text = f"Nothing can be said: {reasons[0]}." if reasons else "Nothing can be said: there is nothing to compare."
    return Answer((text,), (), ())


def _ms(value: float) -> str:
    digits = max(0, 3 - len(f"{value:.0f}")) if value >= 1 else 3
    return f"{value:,.{digits}f} ms"


def _share(value: float) -> str:
    """How much more: "nothing", "3.4 %", or "2.5 times" what it was from twice as much on."""
    if abs(value) < _LEAST:
        return "nothing"
    return f"{100 * value:.1f} %" if value < 1 else f"{1 + value:.1f} times"


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times"


def _axes(row: Row) -> str:
    axes = sorted(row.outcome.axes_ms.items(), key=lambda item: -item[1])
    return ", ".join(f"{axis} {_ms(ms)}" for axis, ms in axes if ms > 0)


def _some(part: int, whole: int, noun: str) -> str:
    if whole == 1:
        return f"the one {noun}" if part else f"no {noun}"
    return f"all {whole} {noun}s" if part == whole else f"{part} of {whole} {noun}s"


def _and(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
