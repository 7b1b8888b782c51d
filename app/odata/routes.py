"""The OData application: service document, $metadata, sets, entities, properties, counts.

Routes on the raw path and the raw query string; decides nothing but which page answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.base.config import Settings
from app.base.errors import AppError
from app.catalog.fields import Dataset
from app.catalog.index import DATASETS
from app.http.caller import authenticate_request
from app.http.errors import unexpected_error
from app.http.freshness import VARY, freshness_headers
from app.odata.errors import error_response, method_error
from app.odata.feed import Feed, show_feed
from app.odata.formats import check_xml, choose_metadata_level, choose_version, read_page_wish
from app.odata.metadata import write_metadata
from app.odata.options import refuse_options, split_query
from app.odata.path import Kind, read_path
from app.odata.reading import Asker, Reading, read_address
from app.odata.writer import JSON_TYPE, write_service
from app.store.engine import Store

MOUNTED_AT = "/odata/v4"
XML_TYPE = "application/xml;charset=utf-8"
NOT_CACHED = {"Cache-Control": "private, no-cache", "Vary": VARY}
URL_SIGNS = "!$%&'()*+,-./:;=?@[]_~"


@dataclass(frozen=True, slots=True)
class Front:
    """What the application holds for all its requests.

    see: the feed for a caller's scopes
    describe: the text of $metadata, for scopes and a version
    """

    settings: Settings
    store: Store
    datasets: tuple[Dataset, ...]
    see: Callable[[frozenset[str]], Feed]
    describe: Callable[[frozenset[str], str], str]


def odata_application(
    settings: Settings, store: Store, datasets: tuple[Dataset, ...] = DATASETS
) -> ASGIApp:
    """The OData application over these datasets, to be mounted at `/odata/v4`."""
    root = settings.public_url.rstrip("/") + MOUNTED_AT

    @lru_cache(maxsize=32)
    def see(scopes: frozenset[str]) -> Feed:
        return show_feed(root, datasets, scopes)

    @lru_cache(maxsize=64)
    def describe(scopes: frozenset[str], version: str) -> str:
        return write_metadata(see(scopes), version=version, limits=settings)

    front = Front(settings, store, datasets, see, describe)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        response: Response
        try:
            response = await run_in_threadpool(answer_request, front, scope)
        except Exception:
            response = error_response(unexpected_error(), version="4.01")
            await response(scope, receive, send)
            raise
        if scope["method"] == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    return application


def answer_request(front: Front, scope: Scope) -> Response:
    """The response to one request; whatever the caller did wrong becomes an OData error."""
    version = "4.01"
    try:
        if scope["method"] not in {"GET", "HEAD"}:
            raise method_error()
        version = choose_version(
            Headers(raw=scope["headers"]).get("odata-maxversion", ""), unasked=version
        )
        return answer_reader(front, scope, version)
    except AppError as error:
        return error_response(error, version=version)


def answer_reader(front: Front, scope: Scope, version: str) -> Response:
    """The response to a caller who may read.

    Raises: every error a reader can meet
    """
    principal = authenticate_request(scope, front.store)
    principal.require("read")
    headers = Headers(raw=scope["headers"])
    path = path_below(scope)
    query = split_query(readable(scope["query_string"]))
    feed = front.see(principal.scopes)
    accept, asked = ",".join(headers.getlist("accept")), query.system.get("format", "")
    if path == "$metadata":
        refuse_options(query, ("format",), "$metadata")
        check_xml(accept, asked)
        version = choose_version(headers.get("odata-maxversion", ""), unasked="4.0")
        text = front.describe(principal.scopes, version)
        return finish(text, XML_TYPE, version, NOT_CACHED)
    if path == "":
        refuse_options(query, ("format",), "the service document")
        level = choose_metadata_level(accept, asked)
        text = write_service(feed, with_context=level == "minimal")
        return finish(text, JSON_TYPE.format(level=level), version, NOT_CACHED)
    address = read_path(path, feed)
    is_plain = address.kind in {Kind.COUNT, Kind.VALUE}
    level = "none" if is_plain else choose_metadata_level(accept, asked)
    most = front.settings.limit_page_rows_asked
    asker = Asker(
        principal=principal,
        store=front.store,
        settings=front.settings,
        datasets=front.datasets,
        feed=feed,
        query=query,
        path=path,
        with_context=level == "minimal",
        wish=read_page_wish(",".join(headers.getlist("prefer")), most=most),
    )
    return answer_reading(read_address(asker, address), JSON_TYPE.format(level=level), version)


def answer_reading(reading: Reading, media_type: str, version: str) -> Response:
    """The response to a question about data: its verdict travels in the headers, too."""
    headers = {**freshness_headers(reading.freshness), **reading.headers}
    if reading.body is None:
        return Response(status_code=204, headers={**headers, "OData-Version": version})
    return finish(reading.body, reading.media_type or media_type, version, headers)


def finish(text: str, media_type: str, version: str, headers: dict[str, str]) -> Response:
    """A response of ready text; exactly one OData-Version."""
    return Response(
        text.encode(), headers={**headers, "OData-Version": version}, media_type=media_type
    )


def path_below(scope: Scope) -> str:
    """The raw path below the service root, without slashes at its ends."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    mounted = str(scope.get("root_path", "")).strip("/")
    segments = readable(raw.partition(b"?")[0]).split("/")[1:]
    return "/".join(segments[len(mounted.split("/")) if mounted else 0 :]).strip("/")


def readable(raw: bytes) -> str:
    """Bytes of a URL as text that may stand in a link: what may not is percent-encoded."""
    return quote(raw, safe=URL_SIGNS)
