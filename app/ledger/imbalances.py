"""Intervals that do not balance past their grace in, defects opened, followed and resolved.

A defect never ages out: it leaves because its interval matches, or was stated anew and matches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select, update

from app.base.facts import DefectOpened, DefectResolved
from app.base.observe import observe
from app.learning.elements import subtract_sums, sum_elements
from app.ledger.balance import CONFLICTING, DIVERGENT, MATCHED, QUARANTINED, SHORT_OF
from app.ledger.missing import DeclaredInterval, read_waived
from app.store.dialect import insert_rows
from app.store.tables import Defect, Quarantine, Source, Tally
from app.store.tables.columns import table_of

_COLUMNS = (
    "environment_id",
    "defect_id",
    "source_id",
    "stream",
    "kind",
    "from_at",
    "to_at",
    "declared",
    "applied",
    "missing",
    "surplus",
    "detected_at",
    "most_missing",
    "excused",
)


def follow_defects(
    connection: Connection,
    environment_id: int,
    rows: Sequence[dict[str, Any]],
    *,
    restated: Iterable[tuple[int, str, datetime]],
    now: datetime,
) -> None:
    """Open, keep up or resolve the defects of intervals that were balanced; sets their defect_id.

    Shape: rows: of Bucket; restated: the intervals that a newer version was just declared for
    """
    anew = set(restated)
    opened = []
    lacks = any(row["missing"] for row in rows)
    waived = _streams_with_waived(connection, environment_id) if lacks else set()
    for row in rows:
        row["excused"] = _count_excused(connection, environment_id, row, waived)
        if row["state"] == MATCHED:
            is_restated = (row["source_id"], row["stream"], row["from_at"]) in anew
            _resolve(connection, environment_id, row, is_restated=is_restated, now=now)
        elif row["defect_id"] is not None:
            _keep_up(connection, environment_id, row)
        elif row["declared"] is not None and row["due_at"] <= now:
            opened.append(row)
    _open_all(connection, environment_id, opened, now=now)


def kind_on_shelf(connection: Connection, environment_id: int, row: Mapping[str, Any]) -> str:
    """Give the state of an unmatched interval: its own, or what lies on the shelf for it.

    Source: docs/completeness.md, "Buckets"
    """
    if row["state"] not in (SHORT_OF, DIVERGENT):
        return str(row["state"])
    shelf, source = table_of(Quarantine), table_of(Source)
    outcomes = set(
        connection.execute(
            select(shelf.c.outcome)
            .distinct()
            .select_from(
                shelf.join(
                    source,
                    (source.c.environment_id == environment_id)
                    & (source.c.source_key == shelf.c.source_key),
                )
            )
            .where(
                shelf.c.environment_id == environment_id,
                source.c.source_id == row["source_id"],
                shelf.c.stream == row["stream"],
                shelf.c.recorded_at >= row["from_at"],
                shelf.c.recorded_at < row["to_at"],
            )
        ).scalars()
    )
    if "conflict" in outcomes:
        return CONFLICTING
    return QUARANTINED if "rejected" in outcomes else str(row["state"])


def _streams_with_waived(connection: Connection, environment_id: int) -> set[tuple[int, str]]:
    """The streams of which any dead event was waived."""
    tally = table_of(Tally)
    rows = connection.execute(
        select(tally.c.source_id, tally.c.stream).where(
            tally.c.environment_id == environment_id, tally.c.waived > 0
        )
    )
    return {(source_id, stream) for source_id, stream in rows}


def _count_excused(
    connection: Connection,
    environment_id: int,
    row: Mapping[str, Any],
    waived: set[tuple[int, str]],
) -> int:
    """How many waived events are all that an interval lacks: the very ones, by their sum; else 0.

    Where the source only counts, their number must do.
    """
    if row["surplus"] or not row["missing"] or (row["source_id"], row["stream"]) not in waived:
        return 0
    interval = DeclaredInterval(row["source_id"], row["stream"], row["from_at"], row["to_at"])
    elements = read_waived(connection, environment_id, interval)
    if len(elements) != row["missing"]:
        return 0
    lacking = row["declared_sum"]
    if lacking is None:
        return len(elements)
    is_all = subtract_sums(bytes(lacking), bytes(row["applied_sum"])) == sum_elements(elements)
    return len(elements) if is_all else 0


def _open_all(
    connection: Connection, environment_id: int, rows: list[dict[str, Any]], *, now: datetime
) -> None:
    if not rows:
        return
    defect = table_of(Defect)
    newest = connection.execute(
        select(func.max(defect.c.defect_id)).where(defect.c.environment_id == environment_id)
    ).scalar()
    lines = []
    for number, row in enumerate(rows, (newest or 0) + 1):
        row["defect_id"] = number
        told = [row[name] for name in ("source_id", "stream", "state", *_COLUMNS[5:11])]
        lines.append((environment_id, number, *told, now, row["missing"], row["excused"]))
        observe(
            DefectOpened(
                environment_id,
                defect_id=number,
                source_id=row["source_id"],
                stream=row["stream"],
                kind=row["state"],
                from_at=row["from_at"],
                missing_count=row["missing"],
            )
        )
    insert_rows(connection, defect, _COLUMNS, lines)


def _keep_up(connection: Connection, environment_id: int, row: Mapping[str, Any]) -> None:
    defect = table_of(Defect)
    connection.execute(
        update(defect)
        .where(
            defect.c.environment_id == environment_id,
            defect.c.defect_id == row["defect_id"],
            defect.c.resolved_at.is_(None),
        )
        .values(
            kind=row["state"],
            excused=row["excused"],
            most_missing=case(
                (defect.c.most_missing < row["missing"], row["missing"]),
                else_=defect.c.most_missing,
            ),
            **{name: row[name] for name in ("declared", "applied", "missing", "surplus")},
        )
    )


def _resolve(
    connection: Connection,
    environment_id: int,
    row: dict[str, Any],
    *,
    is_restated: bool,
    now: datetime,
) -> None:
    if row["defect_id"] is None:
        return
    defect = table_of(Defect)
    resolution = "restated" if is_restated else "matched"
    connection.execute(
        update(defect)
        .where(
            defect.c.environment_id == environment_id,
            defect.c.defect_id == row["defect_id"],
            defect.c.resolved_at.is_(None),
        )
        .values(
            resolved_at=now,
            resolution=resolution,
            **{name: row[name] for name in ("declared", "applied", "missing", "surplus")},
        )
    )
    observe(DefectResolved(environment_id, row["defect_id"], resolution))
    row["defect_id"] = None
