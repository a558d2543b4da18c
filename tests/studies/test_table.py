"""Tables as CSV and Parquet hold the same rows, in the order of the study."""

from __future__ import annotations

import csv
import io

import pytest

from tests.studies.make import STUDY, grid_of
from topoplan.studies.evaluate import evaluate
from topoplan.studies.fronts import described, short
from topoplan.studies.summary import reasons, totals
from topoplan.studies.table import Table, table, to_csv, to_parquet


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Table:
    grid = grid_of(STUDY, tmp_path_factory.mktemp("study"))
    return table(grid, {s.key: evaluate(s) for s in grid})


def test_csv_has_a_row_for_every_scenario(content: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(content))))
    assert [int(row["scenario"]) for row in rows] == list(range(len(content.rows)))
    assert {row["status"] for row in rows} == {"ok", "invalid", "infeasible"}
    for row, known in zip(rows, content.rows, strict=True):
        assert row["key"] == known.scenario.key
        assert (row["exposed_ms"] == "") == (not known.outcome.ok)
        if known.outcome.ok:
            assert float(row["exposed_ms"]) == known.ms
            parts = [float(v) for k, v in row.items() if k.startswith("axis_") and v]
            assert sum(parts) == pytest.approx(known.ms)
        else:
            assert row["reason"]
    assert {row["fabric.oversubscription.leaf"] for row in rows} == {"1", "4"}


def test_parquet_has_the_same(content: Table) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    read = pq.read_table(io.BytesIO(to_parquet(content)))
    assert tuple(read.column_names) == content.columns()
    assert [tuple(row.values()) for row in read.to_pylist()] == content.cells()
    assert to_parquet(content) == to_parquet(content)


def test_a_failure_costs_what_the_table_says(content: Table) -> None:
    for row in content.rows:
        if row.outcome.ok and row.healthy:
            assert row.outcome.before_ms == row.ms
            assert row.outcome.moved == 0
        elif row.outcome.ok:
            assert row.outcome.moved >= 0
    lost = [row for row in content.rows if row.outcome.ok and row.scenario.failure.kind == "host"]
    assert any(row.outcome.moved for row in lost)
    by_case: dict[tuple[str, ...], dict[str, float]] = {}
    for row in lost:
        about = (row.scenario.fabric.digest, row.scenario.job.digest, row.scenario.order, row.scenario.failure.what)
        by_case.setdefault(about, {})[row.scenario.after] = row.ms
    for after in by_case.values():
        assert after["replan"] <= after.get("keep", float("inf")) * (1 + 1e-3)


def test_what_has_no_price_is_counted_with_its_reason(content: Table) -> None:
    missing = sum(not row.outcome.ok for row in content.rows)
    assert totals(content) == f"{len(content.rows)} scenarios, {len(content.rows) - missing} of them priced."
    assert sum(int(line.split()[0]) for line in reasons(content)) == missing
    assert len(set(reasons(content))) == len(reasons(content))


def test_variants_are_named_by_what_varies(content: Table) -> None:
    names = {described(row, "fabric") for row in content.rows}
    assert "small, oversubscription of leaf 4, routing ecmp" in names
    assert short("job.parallel.pp") == "pp"
    assert short("fabric.oversubscription.top") == "oversubscription"


def test_an_empty_table() -> None:
    none = table((), {})
    assert to_csv(none).count("\n") == 1
    assert totals(none) == "0 scenarios, all priced."
