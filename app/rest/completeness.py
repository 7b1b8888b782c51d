"""Lag and verdicts per stream, intervals and defects, what we said and when, and the books."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.base.clock import now
from app.base.errors import BadOption, TooExpensive, UnknownName
from app.catalog.index import DATASETS
from app.http.caller import Config, OpenStore, Operator, RawBody, Reader
from app.http.stream import data_response, json_response, write_json
from app.learning.modules import STREAM_NAMES
from app.ledger.books import read_books
from app.ledger.defects import (
    DefectFacts,
    list_all_defects,
    list_intervals,
    waive_defect,
)
from app.ledger.facts import Freshness, Lag, StreamLag, freshness_over, read_lag
from app.ledger.history import read_history
from app.ledger.lacking import MISSING_SHOWN, find_missing
from app.ledger.receipts import Receipt, look_back, open_claim
from app.ledger.rows import describe_assurance
from app.ledger.watch import recount_environment
from app.query.changes import count_changes
from app.rest.schemas import (
    ListAfter,
    ListLimit,
    Moment,
    Number,
    WaiverBody,
    body_of,
    read_shape,
)
from app.store.alarms import list_open_alarms
from app.store.engine import Store, snapshot, transaction
from app.store.instance import signing_secret

router = APIRouter(prefix="/v1", tags=["completeness"])

StreamNames = Annotated[
    str, Query(max_length=1000, description="Streams by name, separated by commas; all by default.")
]
OneStream = Annotated[str, Query(max_length=40, description="Only this stream.")]
SourceName = Annotated[str, Query(max_length=200, description="Only this source.")]
AskedMoment = Annotated[Moment | None, Query(description="RFC 3339, with offset.")]
NoRevision = Annotated[str, Query(max_length=40, description="Refused: lag is judged now.")]
AfterNumber = Annotated[Number, Query(description="Only items behind this one.")]


Recount = Annotated[
    bool, Query(description="Count the journal and the shelf row by row, and compare.")
]


@router.get("/ingestion/lag")
def get_ingestion_lag(
    caller: Reader,
    store: OpenStore,
    settings: Config,
    stream: StreamNames = "",
    source: SourceName = "",
    at: AskedMoment = None,
    as_of: NoRevision = "",
) -> Response:
    """How far each stream is and what may be said of it: per module type, and per source.

    `at` asks what is known now of the data up to that moment. The verdict is of what is listed.
    """
    if as_of:
        raise BadOption(
            "lag is judged now, and no revision has one of its own",
            hint="Use at= for a moment of the data; GET /v1/completeness/history?as_known_at="
            " tells what was said then.",
            target="as_of",
        )
    names = _read_names(stream)
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        lag = read_lag(connection, caller.environment_id, now=now(), end_at=at, streams=names)
    rows = lag.streams
    if source:
        rows = tuple(row for row in lag.sources if row.source == source)
        if not rows:
            raise UnknownName("there is no source of this name here", hint="See GET /v1/sources.")
    freshness = freshness_over(lag, rows, end_at=at)
    body = write_json(_write_lag(lag, rows, freshness))
    return data_response(body, freshness)


@router.get("/ingestion/buckets")
def get_buckets(
    caller: Reader,
    store: OpenStore,
    stream: OneStream,
    source: SourceName,
    since: AskedMoment = None,
    state: Literal["all", "unmatched"] = "all",
    limit: ListLimit = 100,
) -> Response:
    """The declared intervals of a stream of a source: declared, accepted and applied, in order."""
    with snapshot(store) as connection:
        found = list_intervals(
            connection,
            caller.environment_id,
            source=source,
            stream=stream,
            since=since,
            only_unmatched=state == "unmatched",
            limit=limit + 1,
        )
    following = None
    if len(found) > limit:
        moment = found[limit].interval_from.strftime("%Y-%m-%dT%H:%M:%SZ")
        following = (
            f"/v1/ingestion/buckets?stream={stream}&source={source}&since={moment}"
            f"&state={state}&limit={limit}"
        )
    return _listed([_plain(one) for one in found[:limit]], following)


@router.get("/ingestion/defects")
def get_defects(
    caller: Reader,
    store: OpenStore,
    stream: OneStream = "",
    source: SourceName = "",
    state: Literal["open", "waived", "resolved", "all"] = "open",
    limit: ListLimit = 100,
    after: AfterNumber = 0,
) -> Response:
    """What is wrong and since when; `open` shows waived ones too, since they still count."""
    with snapshot(store) as connection:
        found = list_all_defects(
            connection,
            caller.environment_id,
            state=state,
            stream=stream,
            source=source,
            limit=limit + 1,
            after=after,
        )
    following = None
    if len(found) > limit:
        last = found[limit - 1].defect_id
        following = (
            f"/v1/ingestion/defects?stream={stream}&source={source}&state={state}"
            f"&limit={limit}&after={last}"
        )
    return _listed([_plain(one) for one in found[:limit]], following)


@router.get("/ingestion/defects/{defect_id}/missing")
def get_missing(
    defect_id: Number,
    caller: Reader,
    store: OpenStore,
    limit: ListLimit = MISSING_SHOWN,
    after: ListAfter = "",
) -> Response:
    """The very events that a defect lacks, as far as they are known."""
    with snapshot(store) as connection:
        missing = find_missing(
            connection, caller.environment_id, defect_id, limit=limit, after=after
        )
    following = None
    if missing.has_more:
        behind = quote(missing.named[-1][0], safe="")
        following = f"/v1/ingestion/defects/{defect_id}/missing?limit={limit}&after={behind}"
    told = {
        "defect": _plain(missing.defect),
        "element": missing.element,
        "named": [{"id": name, "element": element} for name, element in missing.named],
        "surplus": [{"id": name, "element": element} for name, element in missing.surplus],
        "stuck": [{"id": name, "disposition": fate} for name, fate in missing.stuck],
        "inquiry": missing.inquiry,
        "next": following,
    }
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return json_response(told, headers=headers)


@router.post("/ingestion/defects/{defect_id}/waive", openapi_extra=body_of("WaiverBody"))
def post_waiver(
    defect_id: Number,
    request: Request,
    caller: Operator,
    store: OpenStore,
    settings: Config,
    body: RawBody,
) -> Response:
    """Let a named person say why a defect may stay: its alarm stops, its verdict stays."""
    told = read_shape(WaiverBody, body, headers=request.headers, settings=settings)
    with transaction(store) as connection:
        waived = waive_defect(
            connection,
            caller.environment_id,
            defect_id,
            person=told.person,
            reason=told.reason,
            actor=caller.key,
            now=now(),
        )
    return json_response(_plain(waived))


@router.get("/completeness/history")
def get_history(
    caller: Reader,
    store: OpenStore,
    stream: OneStream = "",
    as_known_at: AskedMoment = None,
    limit: ListLimit = 100,
    after: AfterNumber = 0,
) -> Response:
    """What we said of a stream, and when we knew it."""
    if stream:
        _read_names(stream)
    with snapshot(store) as connection:
        found = read_history(
            connection,
            caller.environment_id,
            stream=stream,
            as_known_at=as_known_at,
            limit=limit + 1,
            after=after,
        )
    following = None
    if len(found) > limit:
        last = found[limit - 1].entry_id
        following = f"/v1/completeness/history?stream={stream}&limit={limit}&after={last}"
    return _listed([_plain(one) for one in found[:limit]], following)


@router.get("/receipts/{token}")
def get_receipt(token: str, caller: Reader, store: OpenStore, settings: Config) -> Response:
    """What an answer claimed then, and what is known now of the same data."""
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        secret = signing_secret(connection, settings)
        receipt = open_claim(token, environment_id=caller.environment_id, secret=secret)
        seen = look_back(connection, receipt)
        dataset = next((one for one in DATASETS if one.name == receipt.dataset), None)
        changed_count = None
        if dataset is not None and dataset.scope in caller.scopes:
            changed_count = count_changes(
                connection, caller.environment_id, dataset, since_revision=receipt.revision
            )
    now_known = {
        "verdict": seen.verdict,
        "missing": seen.missing,
        "defects": seen.defects,
        "found_at": seen.found_at,
        "rows_changed_since": changed_count,
    }
    return json_response({"then": _write_receipt(receipt), "now_known": now_known})


@router.get("/books")
def get_books(
    caller: Reader, store: OpenStore, settings: Config, recount: Recount = False
) -> Response:
    """Do the books balance: everything received is accounted for, in each stream."""
    told: dict[str, Any] = {}
    if recount:
        told["faults"] = _recount(store, caller.environment_id, limit_s=settings.limit_query_s)
    with snapshot(store, limit_s=settings.limit_query_s) as connection:
        books = read_books(connection, caller.environment_id).as_dict()
        alarms = list_open_alarms(connection, caller.environment_id)
    told["balanced"] = books["balanced"] and not told.get("faults")
    return json_response({**books, **told, "alarms": alarms})


def _recount(store: Store, environment_id: int, *, limit_s: float) -> list[str]:
    try:
        return recount_environment(store, environment_id, limit_s=limit_s)
    except TooExpensive as error:
        raise TooExpensive(
            error.detail, hint="The journal is long: count it by `fullcount books`."
        ) from None


def _read_names(stream: str) -> tuple[str, ...]:
    asked = [name.strip() for name in stream.split(",") if name.strip()]
    for name in asked:
        if name not in STREAM_NAMES:
            raise BadOption(
                f"there is no stream {name[:100]!r}",
                hint=f"Streams are {', '.join(STREAM_NAMES)}.",
                target="stream",
            )
    return tuple(name for name in STREAM_NAMES if name in asked) or STREAM_NAMES


def _listed(items: list[dict[str, Any]], following: str | None) -> Response:
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return json_response({"items": items, "next": following}, headers=headers)


def _plain(facts: Any) -> dict[str, Any]:
    told = asdict(facts)
    if isinstance(facts, DefectFacts):
        told["state"] = "open" if facts.resolution is None else facts.resolution
    return told


def _write_receipt(receipt: Receipt) -> dict[str, Any]:
    told = asdict(replace(receipt, streams=()))
    del told["environment_id"]
    told["streams"] = [{"stream": name, "verdict": verdict} for name, verdict in receipt.streams]
    names = ",".join(name for name, _ in receipt.streams)
    moment = receipt.answered_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    told["links"] = {
        "run_again": receipt.address or None,
        "lag": f"/v1/ingestion/lag?stream={names}&at={moment}",
    }
    return told


def _write_lag(lag: Lag, rows: tuple[StreamLag, ...], freshness: Freshness) -> dict[str, Any]:
    return {
        "environment": lag.environment_key,
        "evaluated_at": lag.evaluated_at,
        "revision": lag.revision,
        "verdict": str(freshness.verdict.state),
        "reason": freshness.verdict.reason,
        "waived": freshness.verdict.is_waived,
        "streams": [_write_stream(row, moment=lag.evaluated_at) for row in rows],
    }


def _write_stream(row: StreamLag, *, moment: datetime) -> dict[str, Any]:
    """A stream; what only the source's own word could tell is null, not zero."""
    standing = row.standing
    told: dict[str, Any] = {
        "stream": row.stream,
        "kind": row.kind,
        "verdict": str(row.verdict.state),
        "reason": row.verdict.reason,
        "waived": row.verdict.is_waived,
        "complete_through": standing.complete_through,
        "settled_through": standing.settled_through,
        "confirmed_through": standing.confirmed_through,
        "target": standing.target_at,
        "data_lag_s": standing.data_lag_s(moment),
        "objective_s": standing.objective_s,
        "last_received_at": row.last_received_at,
        "last_applied_at": row.last_applied_at,
        "lag": {
            "generation_s": standing.generation_lag_s,
            "transport_s": standing.transport_lag_s,
            "processing_s": row.processing_lag_s,
            "evidence_age_s": standing.evidence_age_s(moment),
        },
        "counts": _write_counts(row),
        "assurance": describe_assurance(standing),
        "repair": _write_repair(row),
        "first_defect": _write_defect(row),
    }
    if not row.source:
        told["sources"] = [_write_stream(part, moment=moment) for part in row.sources]
        return told
    beat = {
        "source": row.source,
        "sealed": row.is_sealed,
        "contracted": row.is_contracted,
        "last_heartbeat_at": standing.heard_at,
        "pending": row.backlog,
        "oldest_pending_at": row.oldest_pending_at,
    }
    return beat | told


def _write_counts(row: StreamLag) -> dict[str, int | None]:
    return {
        **row.counts,
        "declared": row.standing.declared,
        "missing": row.standing.missing,
        "surplus": row.standing.surplus,
        "quarantined": row.quarantined,
        "pending": row.pending,
    }


def _write_repair(row: StreamLag) -> dict[str, Any] | None:
    repair = row.standing.repair
    if repair is None:
        return None
    return {
        "id": repair.repair_id,
        "state": repair.state,
        "done": repair.done,
        "of": repair.total,
    }


def _write_defect(row: StreamLag) -> dict[str, Any] | None:
    defect = row.standing.first_defect
    if defect is None:
        return None
    return {
        "kind": defect.kind,
        "from": defect.from_at,
        "missing": defect.missing,
        "detected_at": defect.detected_at,
        "waived": defect.is_waived,
    }
