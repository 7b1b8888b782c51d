"""Reports on real input against DuckDB over the source tables: items, sessions, history, periods.

Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed (docs/mapping-oulad.md).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from app.base.config import Settings
from app.processing.drain import drain_all
from app.store.engine import Store
from bench.oulad import SMALL_ENVIRONMENTS, find_oulad, map_oulad, read_events
from tests.contract.site import Caller, open_site

FOLDER = find_oulad()
NAME = SMALL_ENVIRONMENTS[1]
MIDDLE, END = "2014-03-01T00:00:00Z", "2016-01-01T00:00:00Z"

pytestmark = pytest.mark.skipif(
    FOLDER is None,
    reason="OULAD is not at hand (docs/mapping-oulad.md says where it is looked for)",
)


@pytest.fixture(scope="module")
def mapped() -> Iterator[duckdb.DuckDBPyConnection]:
    """One small environment, mapped to events."""
    assert FOLDER is not None
    connection = map_oulad(FOLDER, environments=(NAME,), small=True)
    yield connection
    connection.close()


def told(mapped: duckdb.DuckDBPyConnection, query: str) -> dict[Any, int]:
    """Counts by one or several columns, from the source table."""
    rows = mapped.execute(query).fetchall()
    return {row[:-1] if len(row) > 2 else row[0]: row[-1] for row in rows}


def rows_of_report(caller: Caller, name: str, **given: str) -> list[dict[str, Any]]:
    """All rows of a report, page by page."""
    rows: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        told = {"limit": "20000", **given} | ({"next": following} if following else {})
        answer = caller.get(f"/v1/reports/{name}", params=told).json()
        rows += answer["rows"]
        following = answer["next"]
    return rows


def ask(caller: Caller, **body: Any) -> list[dict[str, Any]]:
    """The rows of a query at the end."""
    asked = {"dataset": "LearnerProgress", "as_of": END, **body}
    rows: list[dict[str, Any]] = caller.post("/v1/query", json=asked).json()["rows"]
    return rows


def fill(caller: Caller, mapped: duckdb.DuckDBPyConnection) -> None:
    """Send every event of the environment."""
    source = {"source": "oulad", "takes_occurred_at": True}
    assert caller.post("/v1/sources", json=source).status_code == 201
    headers = {"Content-Type": "application/x-ndjson"}
    for batch in read_events(mapped, NAME):
        answer = caller.post("/v1/events", content="\n".join(batch).encode(), headers=headers)
        assert answer.json()["rejected"] == 0, answer.text[:500]


def test_reports_on_real_data_say_what_its_tables_say(
    store: Store, settings: Settings, mapped: duckdb.DuckDBPyConnection
) -> None:
    site = open_site(store, settings)
    caller = site.caller(NAME)
    fill(caller, mapped)
    drain_all(store, settings)

    for as_of in (MIDDLE, END):
        check_items(caller, mapped, as_of)
        check_history(caller, mapped, as_of)
    check_sessions(caller, mapped)
    check_periods(caller, mapped)
    check_shares(caller, mapped)


def check_items(caller: Caller, mapped: duckdb.DuckDBPyConnection, as_of: str) -> None:
    """Items handed in, each correct: the checklist knows no points."""
    items = rows_of_report(
        caller, "item_analysis", module_type="checklist", by="part_key", as_of=as_of
    )
    handed_in = told(
        mapped,
        f"""select 'a' || split_part(source_ref, ':', 2), count(distinct user_id) from ev
            where source_ref like 'sa:%' and module_type = 'checklist'
              and occurred_on <= '{as_of[:10]}' group by 1""",
    )
    assert handed_in
    assert {row["part_key"]: row["answered"] for row in items if row["answered"]} == handed_in
    assert all(row["correct"] == row["answered"] for row in items)


def check_history(caller: Caller, mapped: duckdb.DuckDBPyConnection, as_of: str) -> None:
    """Completed by then, as known now."""
    history = rows_of_report(caller, "compliance_as_of", as_of=as_of, status="completed")
    completed = told(
        mapped,
        f"""select module_type, count(distinct (user_id, module_id)) from ev
            where event_type = 'completed' and occurred_on <= '{as_of[:10]}' group by 1""",
    )
    assert completed
    assert Counter(row["module_type"] for row in history) == completed


def check_sessions(caller: Caller, mapped: duckdb.DuckDBPyConnection) -> None:
    """Sessions by month; no room states a capacity."""
    sessions = rows_of_report(caller, "ilt_capacity", by="module_key,starts_month", as_of=END)
    held = told(
        mapped,
        """select module_id, strftime(occurred_on, '%Y-%m-01'), count(distinct occurred_on) from ev
           where module_type = 'ilt' group by 1, 2""",
    )
    assert held
    assert {(r["module_key"], r["starts_month"]): r["sessions"] for r in sessions} == held
    assert {row["fill_rate"] for row in sessions} <= {None}


def check_periods(caller: Caller, mapped: duckdb.DuckDBPyConnection) -> None:
    """Completions by month and by year."""
    for by, period in (("month", "%Y-%m-01"), ("year", "%Y-01-01")):
        found = ask(
            caller,
            select=["module_type", {"measure": "completed"}],
            where="completed_at ne null",
            bucket={"field": "completed_at", "by": by, "as": "period"},
        )
        expected = told(
            mapped,
            f"""select module_type, strftime(done_on, '{period}'), count(*) from (
                    select module_type, user_id, module_id, min(occurred_on) as done_on from ev
                    where event_type = 'completed' group by 1, 2, 3) group by 1, 2""",
        )
        assert expected
        assert {(r["module_type"], r["period"]): r["completed"] for r in found} == expected


def check_shares(caller: Caller, mapped: duckdb.DuckDBPyConnection) -> None:
    """What part of all completions each module type has."""
    shares = ask(
        caller,
        select=["module_type", {"aggregate": "share", "as": "done"}],
        where="completed_at ne null",
    )
    completed = told(
        mapped,
        """select module_type, count(distinct (user_id, module_id)) from ev
           where event_type = 'completed' group by 1""",
    )
    assert {row["module_type"]: row["done_part"] for row in shares} == completed
    assert {row["done_total"] for row in shares} == {sum(completed.values())}
    assert sum(row["done"] for row in shares) == pytest.approx(1)
