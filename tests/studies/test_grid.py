"""Every combination once, in the order of the file, with keys that say what decides the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.studies.make import STUDY, grid_of, study_of
from topoplan.errors import InputError
from topoplan.studies import grid
from topoplan.studies.grid import scenarios

HEAD = "apiVersion: topoplan/v1\nkind: Study\nname: s\n"


def _some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    ratios=st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
    routings=_some(["ecmp", "adaptive", "static"]),
    sizes=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=3, unique=True),
    orders=_some(["linear", "strings", "random", "plan"]),
    after=_some(["keep", "replan"]),
    failures=st.booleans(),
)
def test_every_combination_once(
    tmp_path: Path,
    ratios: list[int],
    routings: list[str],
    sizes: list[int],
    orders: list[str],
    after: list[str],
    failures: bool,
) -> None:
    text = (
        HEAD
        + f"fabrics: [{{topology: fabric.yaml, vary: {{oversubscription.leaf: {ratios}, "
        + f"routing: [{', '.join(routings)}]}}}}]\n"
        + f"jobs: [{{file: job.yaml, vary: {{parallel.vpp: {sizes}}}}}]\norders: [{', '.join(orders)}]\n"
        + f"after: [{', '.join(after)}]\n"
        + ("failures: [none, {each: leaf}]\n" if failures else "")
    )
    found = grid_of(text, tmp_path)
    variants = len(ratios) * len(routings) * len(sizes)
    each = len(orders) * (1 + (2 * len(after) if failures else 0))
    assert len(found) == variants * each
    labels = [(*s.fabric.varied.values(), *s.job.varied.values(), s.failure.what, s.order, s.after) for s in found]
    assert len(set(labels)) == len(labels)
    assert [s.fabric.varied["oversubscription.leaf"] for s in found] == [
        ratio for ratio in ratios for _ in range(len(found) // len(ratios))
    ]
    assert {s.after for s in found} == {"", *(after if failures else ())}
    assert [s.key for s in grid_of(text, tmp_path)] == [s.key for s in found]


def test_keys_follow_what_decides_the_result(tmp_path: Path) -> None:
    study = study_of(STUDY, tmp_path)
    keys = {s.key for s in scenarios(study)}
    assert {s.key for s in scenarios(replace(study, name="other", tolerance=0.5))} == keys
    sought = scenarios(replace(study, search="full"))
    plain = [s.key for s in sought if s.order == "linear" and s.after != "replan"]
    assert set(plain) <= keys  # what is not searched for does not depend on how hard one searches
    assert not {s.key for s in sought if s.order == "plan"} & keys


def test_variants_that_make_nothing_are_scenarios_too(tmp_path: Path) -> None:
    found = grid_of(STUDY, tmp_path)
    odd = [s for s in found if s.job.varied.get("parallel.ep") == 7]
    assert len(odd) == 4 * 2  # one a fabric and order, whatever fails
    assert all("does not divide" in s.job.problem for s in odd)
    assert len({s.key for s in odd}) == len(odd)


def test_too_many_scenarios_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_SCENARIOS", 10)
    with pytest.raises(InputError, match="more than 10 scenarios"):
        grid_of(STUDY, tmp_path)
