"""What sources say they made: each manifest is checked, kept in all its versions and answered.

An answer comes after a fold, so it says at once how the interval stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.base.clock import format_time
from app.base.errors import (
    AppError,
    EvidenceInvalid,
    KeyUnknown,
    ManifestConflicts,
    ManifestOverlaps,
    NotContracted,
    Problem,
    SourceSealed,
)
from app.learning.contracts import ANCHORS, Contract
from app.learning.elements import is_boundary, spell_sum
from app.learning.ranges import WHOLE_SPACE
from app.ledger.balance import DIVERGENT, UNDECLARED
from app.ledger.buckets import fold_buckets, lock_ledger
from app.ledger.missing import DeclaredInterval
from app.ledger.names import forget_names
from app.ledger.slots import Start
from app.ledger.streams import Registered, not_contracted, read_register
from app.store.dialect import insert_rows
from app.store.sums import key_valid_at
from app.store.tables import Bucket, Manifest
from app.store.tables.columns import table_of

SUMMED = "hmac-sha256/sum256"
COUNTED_ONLY = "count"
ALGORITHMS = (SUMMED, COUNTED_ONLY)

_COLUMNS = tuple(column.name for column in table_of(Manifest).columns)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a source says it made of a stream, or of a shard of it, in an interval.

    sum: None with the algorithm `count`
    """

    source: str
    stream: str
    from_at: datetime
    to_at: datetime
    count: int
    anchor: str
    alg: str
    version: int = 1
    shard: str = ""
    key_id: str = ""
    sum: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A manifest that is in the register now, or was before.

    is_current: it is what counts; else a newer version, `newest`, does
    """

    manifest_id: int
    start: Start
    is_current: bool
    newest: int


def declare_intervals(
    connection: Connection,
    environment_id: int,
    declarations: Sequence[Declaration],
    *,
    now: datetime,
) -> list[dict[str, Any] | AppError]:
    """Keep manifests and say of each how its interval stands, or what is wrong with it.

    One that is wrong never stops its neighbours; it leaves no trace.

    Shape: answers in the order of the declarations
    """
    lock_ledger(connection, environment_id)
    register = read_register(connection, environment_id)
    kept: list[_Kept | AppError] = []
    fresh: list[tuple[Start, datetime]] = []
    for told in declarations:
        try:
            source = _check_declaration(told, register, now=now)
            start = (source.source_id, told.stream, told.from_at)
            _check_neighbours(told, start, fresh)
            kept.append(_keep_declaration(connection, environment_id, told, start, now=now))
            fresh.append((start, told.to_at))
        except AppError as error:
            kept.append(error)
    current = [one.start for one in kept if isinstance(one, _Kept) and one.is_current]
    fold_buckets(connection, environment_id, now=now, declared=current)
    return [
        one if isinstance(one, AppError) else _answer(connection, environment_id, one)
        for one in kept
    ]


def _check_declaration(
    told: Declaration, register: dict[str, Registered], *, now: datetime
) -> Registered:
    """Check a manifest against its contract; give its source."""
    source = register.get(told.source)
    if source is None:
        raise NotContracted(
            f"there is no source {told.source[:100]!r} in this environment",
            hint="Register it: POST /v1/sources, or fullcount sources add.",
        )
    contract = source.contracts.get(told.stream)
    if contract is None:
        raise not_contracted(told.source, told.stream)
    _check_bounds(told, contract, now=now)
    _check_words(told, contract)
    _check_key(told, source, contract)
    if source.sealed_at is not None and told.from_at >= source.sealed_at:
        raise SourceSealed(f"the source was sealed at {format_time(source.sealed_at)}")
    return source


def _keep_declaration(
    connection: Connection,
    environment_id: int,
    told: Declaration,
    start: Start,
    *,
    now: datetime,
) -> _Kept:
    versions = _read_versions(connection, environment_id, start, told.shard)
    newest = max((row.version for row in versions), default=0)
    for row in versions:
        if row.version == told.version:
            _check_same(row, told)
            return _Kept(row.manifest_id, start, row.is_current, newest)
    _check_overlap(connection, environment_id, told, start)
    return _insert_manifest(connection, environment_id, told, start, newest=newest, now=now)


def _check_bounds(told: Declaration, contract: Contract, *, now: datetime) -> None:
    problems = [
        Problem(name, f"must lie on a boundary of the stream's bucket of {contract.bucket_s} s")
        for name, moment in (("from", told.from_at), ("to", told.to_at))
        if not is_boundary(moment, contract.bucket_s)
    ]
    if told.from_at >= told.to_at:
        problems.append(Problem("to", "must be later than from"))
    elif told.to_at > now + timedelta(seconds=contract.skew_s):
        problems.append(Problem("to", "lies in the future: a bucket is declared once it is over"))
    if problems:
        raise EvidenceInvalid("the bounds of the interval are not right", problems=problems)


def _check_words(told: Declaration, contract: Contract) -> None:
    problems = []
    if told.anchor not in ANCHORS:
        problems.append(Problem("anchor", f"must be one of {', '.join(ANCHORS)}"))
    if told.alg not in ALGORITHMS:
        problems.append(Problem("alg", f"must be one of {', '.join(ALGORITHMS)}"))
    elif (told.alg == SUMMED) != (told.sum is not None):
        problems.append(Problem("sum", f"goes with {SUMMED}, and with nothing else"))
    if told.shard not in contract.shards:
        names = ", ".join(repr(name) for name in contract.shards[:10])
        problems.append(Problem("shard", f"the contract names {names}"))
    if problems:
        raise EvidenceInvalid("the manifest does not fit its contract", problems=problems)


def _check_key(told: Declaration, source: Registered, contract: Contract) -> None:
    if told.alg != SUMMED:
        return
    first = key_valid_at(source.keys, told.from_at)
    last = key_valid_at(source.keys, told.to_at - timedelta(seconds=contract.bucket_s))
    if first is None or last is None or first.key_id != last.key_id:
        raise KeyUnknown(
            "the key of the source changes within this interval",
            hint="Declare what lies before the change and what lies behind it by themselves.",
        )
    if told.key_id != first.key_id:
        raise KeyUnknown(
            f"a bucket of this time is summed with the key {first.key_id!r}",
            hint="A bucket uses the key that is valid at its start; see GET /v1/sources.",
        )


def _check_same(row: Any, told: Declaration) -> None:
    known = (row.to_at, row.count, row.anchor, row.alg, row.key_id)
    summed = None if row.sum is None else bytes(row.sum)
    same = known == (told.to_at, told.count, told.anchor, told.alg, told.key_id)
    if not same or summed != told.sum:
        raise ManifestConflicts(
            f"version {told.version} of this manifest is known with other content",
            hint="State it anew as a higher version.",
        )


def _check_overlap(
    connection: Connection, environment_id: int, told: Declaration, start: Start
) -> None:
    """Intervals of a stream never cross; all shards and versions have the same bounds."""
    bucket = table_of(Bucket)
    row = connection.execute(
        select(bucket.c.from_at, bucket.c.to_at)
        .where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == start[0],
            bucket.c.stream == start[1],
            bucket.c.from_at < told.to_at,
        )
        .order_by(bucket.c.from_at.desc())
        .limit(1)
    ).one_or_none()
    if row is not None:
        _check_bounds_of(told, row.from_at, row.to_at)


def _check_neighbours(
    told: Declaration, start: Start, fresh: Sequence[tuple[Start, datetime]]
) -> None:
    """The same for the manifests that came with this one, whose intervals are not there yet."""
    for (source_id, stream, from_at), to_at in fresh:
        if (source_id, stream) == start[:2] and from_at < told.to_at:
            _check_bounds_of(told, from_at, to_at)


def _check_bounds_of(told: Declaration, from_at: datetime, to_at: datetime) -> None:
    """Refuse an interval that crosses this one, which begins before it ends."""
    if to_at <= told.from_at or (from_at, to_at) == (told.from_at, told.to_at):
        return
    raise ManifestOverlaps(
        f"the interval crosses the declared one from {format_time(from_at)} to"
        f" {format_time(to_at)}",
        hint="Shards and versions of an interval have the same bounds.",
    )


def _read_versions(
    connection: Connection, environment_id: int, start: Start, shard: str
) -> Sequence[Any]:
    manifest = table_of(Manifest)
    return connection.execute(
        select(manifest).where(
            manifest.c.environment_id == environment_id,
            manifest.c.source_id == start[0],
            manifest.c.stream == start[1],
            manifest.c.shard == shard,
            manifest.c.from_at == start[2],
        )
    ).all()


def _insert_manifest(
    connection: Connection,
    environment_id: int,
    told: Declaration,
    start: Start,
    *,
    newest: int,
    now: datetime,
) -> _Kept:
    manifest = table_of(Manifest)
    is_current = told.version > newest
    if is_current and newest:
        connection.execute(
            update(manifest)
            .where(
                manifest.c.environment_id == environment_id,
                manifest.c.source_id == start[0],
                manifest.c.stream == start[1],
                manifest.c.shard == told.shard,
                manifest.c.from_at == start[2],
            )
            .values(is_current=False)
        )
        forget_names(connection, environment_id, DeclaredInterval(*start[:2], start[2], told.to_at))
    last_id = connection.execute(
        select(func.max(manifest.c.manifest_id)).where(manifest.c.environment_id == environment_id)
    ).scalar()
    manifest_id = (last_id or 0) + 1
    given = {
        "environment_id": environment_id,
        "manifest_id": manifest_id,
        "source_id": start[0],
        "received_at": now,
        "is_current": is_current,
    }
    row = [given[name] if name in given else getattr(told, name) for name in _COLUMNS]
    insert_rows(connection, manifest, _COLUMNS, [row])
    return _Kept(manifest_id, start, is_current, max(newest, told.version))


def _answer(connection: Connection, environment_id: int, kept: _Kept) -> dict[str, Any]:
    """How the interval stands; what does not apply is left out.

    Source: docs/completeness.md, "Manifests"
    """
    told: dict[str, Any] = {"manifest_id": kept.manifest_id}
    if not kept.is_current:
        return {"state": "superseded", **told, "version": kept.newest}
    bucket = table_of(Bucket)
    row = connection.execute(
        select(bucket).where(
            bucket.c.environment_id == environment_id,
            bucket.c.source_id == kept.start[0],
            bucket.c.stream == kept.start[1],
            bucket.c.from_at == kept.start[2],
        )
    ).one()
    if row.state == UNDECLARED:
        return {"state": row.state, **told, "waiting": "for the manifests of the other shards"}
    told |= {"declared": row.declared, "accepted": row.accepted, "applied": row.applied}
    told |= {name: row._mapping[name] for name in ("missing", "surplus") if row._mapping[name]}
    if row.element is not None:
        told["element"] = spell_sum(bytes(row.element))
    if row.declared_sum is not None and (row.missing > 1 or row.state == DIVERGENT):
        told["want"] = [WHOLE_SPACE.as_dict()]
    return {"state": row.state, **told}
