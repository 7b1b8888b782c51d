"""$batch in, its parts back into the application one by one, their responses out as one.

Reads only: change sets and atomicity groups are refused. All parts share one limit of time.
Source: OData Protocol 4.01, 11.7; JSON Format 4.01, 19
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from starlette.responses import Response

from app.base.config import Settings
from app.base.errors import (
    AppError,
    BadSyntax,
    BodyTypeUnknown,
    DependencyFailed,
    NotSupported,
    TooComplex,
    UnknownPath,
)
from app.intake.unpack import unpack_body
from app.odata.batch_parts import (
    Part,
    new_boundary,
    read_json_parts,
    read_multipart_parts,
    write_json_parts,
    write_multipart_parts,
)
from app.odata.calls import MOUNTED_AT, Call, readable
from app.odata.errors import error_response
from app.odata.feed import Feed
from app.odata.formats import read_accept, read_range
from app.odata.options import refuse_options, split_query
from app.odata.preferences import Preferences, read_preferences, write_applied
from app.odata.references import SYSTEM_RESOURCES, spell_path

JSON, MULTIPART = "application/json", "multipart/mixed"
INHERITED = ("odata-maxversion", "accept-language")
# A part belongs to the caller of the batch, and is no request of its own on the wire.
NEVER_IN_PARTS = frozenset({"authorization", "x-api-key", "cookie", "content-length", "host"})
Answerer = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Around:
    """Where the requests of a batch are.

    feed: what their caller sees
    mounted: the absolute paths that mean this service, as the caller may know them
    """

    feed: Feed
    mounted: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Done:
    """A part, the request that it is, unless it cannot be run, and the response to it."""

    part: Part
    asked: Call | None
    response: Response

    @property
    def succeeded(self) -> bool:
        """Was it answered with a status of success?"""
        return 200 <= self.response.status_code < 300


def answer_batch(
    call: Call, answer: Answerer, *, settings: Settings, version: str, feed: Feed
) -> Response:
    """The response to a batch; every part is answered as if it had come alone.

    answer: the application itself
    feed: what the caller sees
    Raises: BadOption, UnknownPath, for options a batch has not; what `read_batch` does
    """
    if call.within_batch:
        raise BadSyntax("a part of a batch cannot be a batch", target="$batch")
    # There is one version of the schema, so that there is none for parts to inherit.
    query = split_query(call.query)
    refuse_options(query, (), "a batch")
    content_type = read_range(call.header("content-type")).type
    parts = read_batch(call, content_type, settings)
    wishes = read_preferences(call.header("prefer"), most_rows=settings.limit_page_rows_asked)
    goes_on = wishes.continue_on_error
    if goes_on is None:
        goes_on = content_type == JSON
    # Below one mount there may be another one: the nearest is looked for first.
    mounted = tuple(filter(None, (call.mounted, urlsplit(feed.root).path, MOUNTED_AT)))
    shared = replace(
        call,
        deadline=time.monotonic() + settings.limit_query_s,
        headers={**call.headers, "prefer": spell_inherited(wishes)},
    )
    around = Around(feed, mounted, settings)
    done = answer_parts(shared, parts, answer=answer, goes_on=goes_on, around=around)
    said = wishes.continue_on_error
    applied = [] if said is None else [f"continue-on-error={str(said).lower()}"]
    headers = {"Cache-Control": "no-store", "OData-Version": version, **write_applied(applied)}
    pairs = [(one.part, one.response) for one in done]
    asked = query.system.get("format", "")
    accept = JSON if asked.strip().lower() == "json" else asked or call.header("accept")
    if choose_batch_type(accept, content_type) == JSON:
        return Response(write_json_parts(pairs), headers=headers, media_type=JSON)
    boundary = new_boundary()
    return Response(
        write_multipart_parts(pairs, boundary),
        headers={**headers, "Content-Type": f"{MULTIPART}; boundary={boundary}"},
    )


def read_batch(call: Call, content_type: str, settings: Settings) -> Sequence[Part]:
    """The requests of a batch, whose body may be packed.

    Raises: BodyTypeUnknown, BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge, BodyNotJson,
        BadSyntax, TooComplex
    """
    if content_type not in {JSON, MULTIPART}:
        raise BodyTypeUnknown(f"$batch reads {MULTIPART} and {JSON}")
    body = unpack_body(call.body, call.header("content-encoding"), settings)
    if content_type == JSON:
        parts = read_json_parts(body, settings)
    else:
        parts = read_multipart_parts(body, call.header("content-type"))
    if len(parts) > settings.limit_batch_requests:
        raise TooComplex(
            f"the batch has {len(parts)} requests; at most {settings.limit_batch_requests}",
            target="$batch",
        )
    return parts


def choose_batch_type(accept: str, content_type: str) -> str:
    """The format of the response: the one of the request, unless the other is asked for."""
    named = [one.type for one in read_accept(accept)] if accept else []
    return next((name for name in named if name in {JSON, MULTIPART}), content_type)


# The parts


def answer_parts(
    call: Call,
    parts: Sequence[Part],
    *,
    answer: Answerer,
    goes_on: bool,
    around: Around,
) -> list[Done]:
    """The responses to parts, in their order; the first failure ends it unless it goes on."""
    done: list[Done] = []
    version = "4.0" if call.header("odata-maxversion").strip() == "4.0" else "4.01"
    for part in parts:
        asked: Call | None = None
        try:
            check_part(part, done)
            asked = part_call(call, part, done=done, around=around)
            response = answer(asked)
        except AppError as error:
            response = error_response(error, version=version)
        if part.method == "HEAD":
            response.body = b""
        done.append(Done(part, asked, response))
        if response.status_code >= 400 and not goes_on:
            break
    return done


def check_part(part: Part, done: Sequence[Done]) -> None:
    """Refuse a part that cannot be run, or whose turn never comes.

    Raises: DependencyFailed, NotSupported, BadSyntax
    """
    if part.fault is not None:
        raise part.fault
    if part.group or part.is_change_set:
        raise NotSupported(
            "this feed is read-only: a group of changes is not supported",
            hint="Reads stand in a batch by themselves.",
            target=part.group or None,
        )
    succeeded = {one.part.id for one in done if one.succeeded}
    for needed in part.depends_on:
        if needed not in succeeded:
            raise DependencyFailed(f"the request {needed[:40]!r} was not answered", target=needed)


def part_call(call: Call, part: Part, *, done: Sequence[Done], around: Around) -> Call:
    """The request that a part is.

    Raises: DependencyFailed, BadSyntax, UnknownPath
    """
    path, _, query = locate_part(part, done, around=around).partition("?")
    return replace(
        call,
        method=part.method,
        path=readable(path.strip("/")),
        query=readable(query),
        headers=part_headers(call, part),
        body=part.body,
        within_batch=True,
    )


def locate_part(part: Part, done: Sequence[Done], *, around: Around) -> str:
    """The path and query of a part below the service root: relative, absolute, or with a host.

    Raises: UnknownPath, BadSyntax, DependencyFailed
    """
    url = part.url
    if "://" in url.partition("?")[0]:
        # Any host is ours, as the caller knows us; one that cannot be read, too.
        url = "/" + url.partition("://")[2].partition("/")[2]
    if url.startswith("/"):
        path = url.partition("?")[0]
        mounted = around.mounted
        root = next((r for r in mounted if path == r or path.startswith(f"{r}/")), None)
        if root is None:
            raise UnknownPath("the URL of this part is not below this service", target="url")
        return url[len(root) :].removeprefix("/")
    return resolve_reference(url, part, done, around=around)


def resolve_reference(url: str, part: Part, done: Sequence[Done], *, around: Around) -> str:
    """A relative URL; `$1` at its beginning is the entity that request 1 returned, unless it is a
    resource of the system.

    Raises: BadSyntax, where the request is not among those this one depends on; DependencyFailed
    Source: OData JSON Format 4.01, 19.1; Protocol 4.01, 11.7.3.1
    """
    first = url.partition("?")[0].partition("/")[0]
    name = first.removeprefix("$")
    before = next((one for one in done if one.part.id == name), None)
    if not first.startswith("$") or first in SYSTEM_RESOURCES or before is None:
        return url
    if part.must_declare and name not in part.depends_on:
        raise BadSyntax(f"the request does not say that it depends on {name[:40]!r}", target="url")
    if before.asked is None or not before.succeeded:
        raise DependencyFailed(f"the request {name[:40]!r} was not answered", target=name)
    return spell_path(before.asked, around.feed, around.settings) + url[len(first) :]


def part_headers(call: Call, part: Part) -> dict[str, str]:
    """The headers of a part, and what it inherits from the batch (Protocol 4.01, 8.2)."""
    given = {name: text for name, text in part.headers.items() if name not in NEVER_IN_PARTS}
    for name in INHERITED:
        if call.header(name):
            given.setdefault(name, call.header(name))
    accept = [one for one in call.header("accept").split(",") if MULTIPART not in one]
    if any(one.strip() for one in accept):
        given.setdefault("accept", ",".join(accept))
    # What is preferred twice counts the first time: the part's own wish goes before.
    given["prefer"] = ",".join(filter(None, (given.get("prefer"), call.header("prefer"))))
    return given


def spell_inherited(wishes: Preferences) -> str:
    """The preferences of a batch that are those of its parts, too (Protocol 4.01, 8.2.8.4).

    With the prefix: so a part's own wish counts first, whichever way it is spelled.
    """
    patterns = ",".join(wishes.annotations)
    return f'odata.include-annotations="{patterns}"' if patterns else ""
