"""The OData application: service document, $metadata, data, batches, monitors.

Routes on the raw path and the raw query string; decides nothing but which page answers.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from email.utils import format_datetime
from functools import lru_cache, partial
from time import thread_time
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import (
    AppError,
    BadOption,
    MethodNotAllowed,
    PreconditionFailed,
    TooExpensive,
)
from app.catalog.changes import CHANGES, SchemaChange, find_farewell
from app.catalog.fields import Dataset
from app.catalog.index import DATASETS
from app.http.caller import authenticate_request, note_use
from app.http.errors import unexpected_error
from app.http.freshness import VARY, demand_of, freshness_headers
from app.odata.asking import Asker, Reading, matches_tag
from app.odata.batch import answer_batch
from app.odata.calls import MOUNTED_AT, Call, read_call
from app.odata.errors import error_response, method_error
from app.odata.feed import Feed, show_feed
from app.odata.formats import (
    Style,
    choose_style,
    choose_version,
    chooses_csdl_json,
)
from app.odata.metadata import write_metadata, write_metadata_json
from app.odata.monitors import MONITOR, Desk, Jobs, answer_later, answer_monitor
from app.odata.options import QueryString, refuse_options, refuse_strangers, split_query
from app.odata.pace import WITHIN_S, Pace
from app.odata.path import Address, Kind, read_path
from app.odata.preferences import Preferences, read_preferences
from app.odata.reading import read_address
from app.odata.references import (
    BATCH,
    METADATA,
    check_length,
    posts_query,
    resolve_entity_id,
    unfold_query,
)
from app.odata.writer import write_service
from app.query.demand import Demand
from app.store.engine import Store

XML_TYPE, CSDL_TYPE = "application/xml", "application/json"
NOT_CACHED = {"Cache-Control": "private, no-cache", "Vary": VARY}
# Threads of our own: the way there and back is half as long as by the framework's.
THREADS = ThreadPoolExecutor(16, thread_name_prefix="feed")
BARE = frozenset({Kind.COUNT, Kind.VALUE})


@dataclass(frozen=True, slots=True)
class Front:
    """What the application holds for all its requests.

    see: the feed for a caller's scopes
    describe: $metadata, for scopes, a version, and whether it is JSON
    desk: where questions are handed in to be answered later
    changes: what was announced of the sets
    pace: which questions have been quick
    floor: what every answer must be (`complete`), or empty
    """

    settings: Settings
    store: Store
    datasets: tuple[Dataset, ...]
    see: Callable[[frozenset[str]], Feed]
    describe: Callable[[frozenset[str], str, bool], bytes]
    desk: Desk
    changes: tuple[SchemaChange, ...]
    pace: Pace
    floor: str = ""


def odata_application(
    settings: Settings,
    store: Store,
    datasets: tuple[Dataset, ...] = DATASETS,
    changes: tuple[SchemaChange, ...] = CHANGES,
    *,
    mounted_at: str = MOUNTED_AT,
    floor: str = "",
) -> ASGIApp:
    """The OData application over these datasets, to be mounted at `mounted_at`.

    changes: what was announced of their columns; what will go is said in headers
    floor: what every answer must be, as `require` says it
    """
    root = settings.public_url.rstrip("/") + mounted_at

    @lru_cache(maxsize=32)
    def see(scopes: frozenset[str]) -> Feed:
        return show_feed(root, datasets, scopes)

    @lru_cache(maxsize=64)
    def describe(scopes: frozenset[str], version: str, as_json: bool) -> bytes:
        write = write_metadata_json if as_json else write_metadata
        return write(see(scopes), version=version, limits=settings).encode()

    desk = Desk(Jobs(settings), store, settings)
    pace = Pace(is_kept=store.is_embedded)
    front = Front(settings, store, datasets, see, describe, desk, changes, pace, floor)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        response: Response
        try:
            body = await collect_body(scope, receive)
            call = read_call(scope, body, partial(identify_caller, store))
            here = partial(identify_caller, store, scope, note=note_later)
            response = await answer_in_time(front, call, here)
        except AppError as error:
            response = error_response(error, version="4.01")
        except Exception:
            response = error_response(unexpected_error(), version="4.01")
            await response(scope, receive, send)
            raise
        if scope["method"] == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    return application


async def answer_in_time(front: Front, call: Call, identify: Callable[[], Principal]) -> Response:
    """The response to one request: here where such a one was quick, else from a thread.

    identify: says who sends it without writing anything down
    """
    pace = front.pace
    form = pace.form_of(call)
    pace.in_hand += 1
    try:
        if await pace.is_quick(form):
            try:
                here = replace(call, identify=identify, within_s=WITHIN_S)
                return answer_timed(front, here, form=form)
            except TooExpensive:
                pace.note(form, WITHIN_S)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(THREADS, partial(answer_timed, front, call, form=form))
    finally:
        pace.in_hand -= 1


def answer_timed(front: Front, call: Call, *, form: int | None) -> Response:
    """The response to one request, and what it took is noted."""
    started = thread_time()
    response = answer_call(front, call)
    front.pace.note(form, thread_time() - started)
    return response


async def collect_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a POST, counted by the middleware; other methods have none that is read.

    Raises: BodyTooLarge
    """
    body = b""
    is_more = scope["method"] == "POST"
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        is_more = bool(message.get("more_body"))
    return body


def identify_caller(
    store: Store, scope: Scope, *, note: Callable[[Store, Principal], object] = note_use
) -> Principal:
    """Who sends a request, if they may read.

    note: writes down that the key was used
    Raises: NotAuthenticated, TooManyFailures, ScopeMissing
    """
    principal = authenticate_request(scope, store, note=note)
    principal.require("read")
    return principal


def note_later(store: Store, principal: Principal) -> None:
    """Let a thread write down that a key was used."""
    THREADS.submit(note_use, store, principal)


# Which page answers


def answer_call(front: Front, call: Call) -> Response:
    """The response to one request; whatever the caller did wrong becomes an OData error."""
    version = "4.01"
    try:
        version = choose_version(call.header("odata-maxversion"), unasked=version)
        response = route_call(front, call, version)
    except AppError as error:
        if call.within_s is not None and isinstance(error, TooExpensive):
            raise
        return error_response(error, version=version)
    response.headers.setdefault("OData-Version", version)
    return response


def route_call(front: Front, call: Call, version: str) -> Response:
    """The response of the page a request means.

    Raises: every error a reader can meet
    """
    check_method(call)
    if call.method == "OPTIONS":
        allowed = {"Allow": ", ".join(methods_of(call.path)), "Cache-Control": "no-store"}
        return Response(status_code=204, headers=allowed)
    check_headers(call)
    principal = call.identify()
    run = partial(answer_call, front)
    feed = front.see(principal.scopes)
    if call.path == BATCH:
        known = replace(call, identify=lambda: principal)
        return answer_batch(known, run, settings=front.settings, version=version, feed=feed)
    if call.path.startswith(f"{MONITOR}/"):
        return answer_monitor(front.desk, call, principal, root=feed.root, run=run)
    if posts_query(call.path):
        call = unfold_query(call, front.settings)
    query = split_query(call.query)
    if call.path == METADATA:
        return answer_metadata(front, call, query, scopes=principal.scopes)
    if call.path == "":
        return answer_service(feed, call, query)
    wishes = read_preferences(call.header("prefer"), most_rows=front.settings.limit_page_rows_asked)
    if wishes.respond_async and not (call.within_batch or call.in_background):
        return answer_later(
            front.desk, call, principal, wait_s=wishes.wait_s, root=feed.root, run=run
        )
    return answer_data(front, call, principal, query=query, wishes=wishes, version=version)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods a path knows."""
    if path == BATCH or posts_query(path):
        return ("POST", "OPTIONS")
    if path.startswith(f"{MONITOR}/"):
        return ("GET", "HEAD", "DELETE", "OPTIONS")
    return ("GET", "HEAD", "OPTIONS")


def check_method(call: Call) -> None:
    """Refuse what a path does not know; nothing here changes data.

    Raises: MethodNotAllowed
    """
    known = methods_of(call.path)
    if call.method in known:
        return
    if "POST" in known:
        raise MethodNotAllowed(
            f"{call.path.split('/')[-1]} is posted to", headers={"Allow": ", ".join(known)}
        )
    raise method_error(known)


def check_headers(call: Call) -> None:
    """Refuse headers that ask for what cannot be kept.

    Raises: PreconditionFailed, BadOption
    Source: OData Protocol 4.01, 8.1.5 and 8.2.6
    """
    if call.header("isolation") or call.header("odata-isolation"):
        raise PreconditionFailed("isolation over several requests is not supported")
    written_in = call.header("odata-version").strip()
    if call.body and written_in not in {"", "4.0", "4.01"}:
        raise BadOption(
            f"a body of OData-Version {written_in[:100]!r} is not read; it may be 4.0 or 4.01",
            target="OData-Version",
        )


def answer_metadata(
    front: Front, call: Call, query: QueryString, *, scopes: frozenset[str]
) -> Response:
    """$metadata, as XML or JSON."""
    refuse_options(query, (), "$metadata")
    highest = call.header("odata-maxversion")
    as_json = chooses_csdl_json(
        call.header("accept"),
        query.system.get("format", ""),
        version=choose_version(highest, unasked="4.01"),
    )
    version = choose_version(highest, unasked="4.01" if as_json else "4.0")
    told = front.describe(scopes, version, as_json)
    return finish(
        told, CSDL_TYPE if as_json else XML_TYPE, {**NOT_CACHED, "OData-Version": version}
    )


def answer_service(feed: Feed, call: Call, query: QueryString) -> Response:
    """The service document."""
    refuse_options(query, (), "the service document")
    style = choose_style(call.header("accept"), query.system.get("format", ""), tables=False)
    told = write_service(feed, with_context=style.level != "none")
    return finish(told, style.media_type, NOT_CACHED)


# Data


def answer_data(
    front: Front,
    call: Call,
    principal: Principal,
    *,
    query: QueryString,
    wishes: Preferences,
    version: str,
) -> Response:
    """The response to a question about data."""
    check_length(len(call.path) + 1 + len(call.query), front.settings)
    if wishes.is_strict:
        refuse_strangers(query)
    feed = front.see(principal.scopes)
    call, query = resolve_entity_id(call, query, feed)
    address = read_path(call.path, feed, aliases=query.aliases)
    style = choose_data_style(call, query, address)
    variant = (feed.root, version, style, wishes, sorted(principal.scopes))
    asker = Asker(
        principal=principal,
        store=front.store,
        settings=front.settings,
        datasets=front.datasets,
        feed=feed,
        query=query,
        call=call,
        version=version,
        style=style,
        wishes=wishes,
        changes=front.changes,
        demand=read_call_demand(front, call, query, variant=variant),
    )
    response = answer_reading(read_address(asker, address), asker)
    response.headers.update(farewell_headers(asker, address))
    return response


def read_call_demand(
    front: Front, call: Call, query: QueryString, *, variant: tuple[Any, ...]
) -> Demand:
    """How fresh the answer to a call must be, and what its caller has already.

    variant: what the written answer depends on besides the question
    """
    return demand_of(
        query.custom,
        call.header("if-none-match"),
        address=f"{call.mounted}/{call.path}" + (f"?{call.query}" if call.query else ""),
        floor=front.floor,
        variant=variant,
    )


def farewell_headers(asker: Asker, address: Address) -> dict[str, str]:
    """That the set, or a column of it, will go, and when (RFC 9745, RFC 8594)."""
    found = find_farewell(address.dataset.name, asker.changes)
    if found is None or found.deprecated_on is None:
        return {}
    since = datetime.combine(found.deprecated_on, time(), UTC)
    headers = {"Deprecation": f"@{int(since.timestamp())}"}
    if found.sunset_on is not None:
        headers["Sunset"] = format_datetime(
            datetime.combine(found.sunset_on, time(), UTC), usegmt=True
        )
    return headers


def choose_data_style(call: Call, query: QueryString, address: Address) -> Style:
    """How data at an address is written; what is bare text has no style."""
    if address.kind in BARE:
        return Style("none")
    return choose_style(
        call.header("accept"),
        query.system.get("format", ""),
        tables=address.kind is Kind.SET,
    )


def answer_reading(reading: Reading, asker: Asker) -> Response:
    """The response to a question about data: its verdict travels in the headers, too.

    Raises: PreconditionFailed
    """
    headers = join_headers(freshness_headers(reading.freshness), reading.headers)
    wanted = asker.call.header("if-match")
    if wanted.strip() not in {"", "*"} and not matches_tag(wanted, reading.etag):
        raise PreconditionFailed("the data is no longer what If-Match names")
    if reading.etag:
        headers["ETag"] = reading.etag
        known = asker.call.header("if-none-match")
        if reading.is_unchanged or (known and matches_tag(known, reading.etag)):
            return Response(status_code=304, headers=headers)
    if reading.body is None:
        return Response(status_code=204, headers=headers)
    return finish(reading.body, reading.media_type or asker.style.media_type, headers)


def join_headers(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Both sets of headers; a name in both gets both values as one list."""
    shared = {name: f"{first[name]}, {second[name]}" for name in first.keys() & second.keys()}
    return {**first, **second, **shared}


def finish(body: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """A response that is written already."""
    return Response(body, headers=dict(headers), media_type=media_type)
