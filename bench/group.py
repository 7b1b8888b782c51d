"""Groups over 1,000,000 and 5,000,000 rows of progress: from rollups, from rows, and by hand.

All three run in one open snapshot of the same database, in turn; the SQL by hand uses the same
tables and indexes and gives the same numbers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection

from app.access.principal import Principal
from app.base.config import Settings
from app.catalog.index import DATASETS
from app.query.answer import answer_in
from app.query.frames import AS_OF_BIND, AS_OF_DAY_BIND, ENVIRONMENT_BIND
from app.query.plan import Plan, make_plan
from app.query.request import Aggregate, Request
from app.query.sql import LIMIT_BIND, OFFSET_BIND, rows_statement
from app.store.engine import close_store, open_store, snapshot
from app.store.guard import GuardedText
from bench.databases import KINDS, Databases, open_databases
from bench.filler import filled_address
from bench.measure import ROUNDS, Figure, interleave, tell

_SIZES = (1_000_000, 5_000_000)
AS_OF = datetime(2025, 9, 1, tzinfo=UTC)
_CALLS = 20
_PLAIN = tuple(replace(dataset, rollups=()) for dataset in DATASETS)
_ALL = Principal(1, "bench", "bench", frozenset({"read"}))
_COUNTED = Request(
    "LearnerProgress",
    group=("module_type", "status"),
    aggregates=(
        Aggregate("rows", function="count"),
        Aggregate("time", function="sum", field="time_spent_s"),
    ),
)
_MEASURED = Request(
    "LearnerProgress",
    group=("module_type",),
    aggregates=(
        Aggregate("completed"),
        Aggregate("overdue"),
        Aggregate("average_score", function="average", field="best_score_percent"),
    ),
    as_of=AS_OF,
)
_ROLLED_APPLY = Request(
    "LearnerProgress", apply="groupby((module_type,status),aggregate($count as rows))"
)
_AVERAGED = Request(
    "LearnerProgress",
    apply="groupby((module_type,status),aggregate($count as rows,"
    "best_score_percent with average as average_score))",
)
_COUNTED_BY_HAND = """
    select module_type, status, count(*), sum(time_spent_s)
    from progress where environment_id = 1 and not is_deleted group by module_type, status
"""
_AVERAGED_BY_HAND = """
    select module_type, status, count(*), avg(best_score_percent)
    from progress where environment_id = 1 and not is_deleted group by module_type, status
"""
_MEASURED_BY_HAND = """
    select module_type, count(case when completed_at <= '{0}' then 1 end),
           count(case when due_at < '{0}' and assigned_at <= '{0}'
                       and (completed_at is null or completed_at > '{0}')
                       and (waived_at is null or waived_at > '{0}')
                       and (ended_at is null or ended_at > '{0}') then 1 end),
           avg(best_score_percent)
    from progress where environment_id = 1 and not is_deleted group by module_type
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one database: medians by what was measured."""

    kind: str
    medians: dict[str, float]

    def figures(self) -> list[Figure]:
        """What it comes to."""
        of = self.medians
        counted = of["counted from rows"] / of["counted by hand"]
        measured = of["measured from rows"] / of["measured by hand"]
        averaged = of["averaged from rows"] / of["averaged by hand"]
        return [
            Figure(f"{self.kind}: rollup", of["rollup"] * 1e3, "ms", 2, at_most=True),
            Figure(f"{self.kind}: rollup, by $apply", of["applied"] * 1e3, "ms", 2, at_most=True),
            Figure(f"{self.kind}: rollup, planned and judged", of["whole"] * 1e3, "ms"),
            Figure(f"{self.kind}: counted from rows", of["counted from rows"] * 1e3, "ms"),
            Figure(f"{self.kind}: counted by hand", of["counted by hand"] * 1e3, "ms"),
            Figure(f"{self.kind}: counted, rows / by hand", counted, "x", 1.5, at_most=True),
            Figure(f"{self.kind}: measured from rows", of["measured from rows"] * 1e3, "ms"),
            Figure(f"{self.kind}: measured by hand", of["measured by hand"] * 1e3, "ms"),
            Figure(f"{self.kind}: measured, rows / by hand", measured, "x", 1.5, at_most=True),
            Figure(f"{self.kind}: averaged from rows", of["averaged from rows"] * 1e3, "ms"),
            Figure(f"{self.kind}: averaged by hand", of["averaged by hand"] * 1e3, "ms"),
            Figure(f"{self.kind}: averaged, rows / by hand", averaged, "x", 1.5, at_most=True),
        ]


def run_group_bench() -> list[Figure]:
    """Both databases, one after the other."""
    with open_databases() as databases:
        return run_groups(databases)


def run_groups(
    databases: Databases,
    *,
    sizes: Sequence[int] = _SIZES,
    rounds: int = ROUNDS,
    calls: int = _CALLS,
) -> list[Figure]:
    """Both databases at each size, where each is filled up from the one before."""
    figures = []
    for kind in KINDS:
        url = ""
        for rows in sizes:
            tell(f"  {kind}, {rows:,} rows")
            url = filled_address(databases, kind, rows, url=url)
            store = open_store(url)
            with snapshot(store) as connection:
                name = f"{kind}, {rows / 1e6:g}M"
                figures += _measure(connection, name, rounds=rounds, calls=calls).figures()
            close_store(store)
    return figures


def _measure(connection: Connection, kind: str, *, rounds: int, calls: int) -> Times:
    settings = Settings(_env_file=None)
    make = partial(make_plan, principal=_ALL, settings=settings)
    rolled, counted = make(_COUNTED), make(_COUNTED, datasets=_PLAIN)
    measured = make(_MEASURED, datasets=_PLAIN)
    applied, averaged = make(_ROLLED_APPLY), make(_AVERAGED)
    if rolled.shape.rollup is None or counted.shape.rollup is not None:
        raise AssertionError("the plans do not read what they should")
    moment = f"{AS_OF:%Y-%m-%dT%H:%M:%S.000000Z}"
    by_hand = {
        "counted": _COUNTED_BY_HAND,
        "measured": _MEASURED_BY_HAND.format(moment),
        "averaged": _AVERAGED_BY_HAND,
    }
    _compare(connection, rolled, by_hand["counted"])
    _compare(connection, counted, by_hand["counted"])
    _compare(connection, measured, by_hand["measured"])
    _compare(connection, averaged, by_hand["averaged"])
    measures: dict[str, Callable[[], float]] = {
        "rollup": _timed(partial(_run, connection, rolled), calls=calls),
        "applied": _timed(partial(_run, connection, applied), calls=calls),
        "whole": _timed(
            lambda: answer_in(connection, make(_COUNTED), now=AS_OF).row_count, calls=calls
        ),
    }
    for name, plan in (("counted", counted), ("measured", measured), ("averaged", averaged)):
        measures[f"{name} from rows"] = _timed(partial(_run, connection, plan))
        measures[f"{name} by hand"] = _timed(partial(_run_by_hand, connection, by_hand[name]))
    return Times(kind, interleave(measures, rounds=rounds))


def _timed(call: Callable[[], Any], *, calls: int = 1) -> Callable[[], float]:
    """A measurement: the seconds of one call, on the average of so many."""

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - started) / calls

    return measure


def _run(connection: Connection, plan: Plan) -> bytes:
    """The rows of a plan as JSON: its statement alone, neither planned nor judged."""
    page = rows_statement(plan.shape, connection.dialect.name, None)
    statement = page.statement
    values = {
        LIMIT_BIND: plan.shape.page_rows,
        OFFSET_BIND: 0,
        ENVIRONMENT_BIND: plan.environment_id,
        AS_OF_BIND: AS_OF,
        AS_OF_DAY_BIND: AS_OF.date(),
    }
    joined: Any = connection.exec_driver_sql(statement.text, statement.bind(values)).scalar_one()
    return joined if isinstance(joined, bytes) else bytes(joined, "utf-8")


def _run_by_hand(connection: Connection, text: str) -> list[Any]:
    return list(connection.exec_driver_sql(GuardedText(text)).all())


def _compare(connection: Connection, plan: Plan, by_hand: str) -> None:
    """Say where the numbers differ.

    Raises: AssertionError
    """
    told = [tuple(row.values()) for row in orjson.loads(b"[%b]" % _run(connection, plan))]
    theirs = [tuple(row) for row in _run_by_hand(connection, by_hand)]
    if len(told) != len(theirs) or not told:
        raise AssertionError(f"{len(told)} groups against {len(theirs)}")
    for one, other in zip(sorted(told), sorted(theirs), strict=True):
        if not all(_is_same(mine, yours) for mine, yours in zip(one, other, strict=True)):
            raise AssertionError(f"{one} against {other}")


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return other is not None and abs(one - float(other)) < 1e-6
    return bool(one == other)
