"""Shapes on the wire that routes share: bodies read strictly, lists paged, problems described."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from fastapi import Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from starlette.datastructures import Headers
from starlette.responses import Response

from app.base.config import Settings
from app.base.errors import BodyInvalid, BodyTypeUnknown, Problem
from app.http.stream import json_response
from app.intake.strict_json import read_json
from app.intake.unpack import unpack_body
from app.learning.elements import read_sum
from app.learning.ranges import FEWER_PARTS, PARTS, WHOLE_SPACE
from app.learning.times import TIME_HINT, parse_time

REFERENCE = "#/components/schemas/{model}"
MAX_PROBLEMS = 20
_LIST_ROWS = 100
_SELECTED = 'must be a name, {"measure": name}, or {"field", "aggregate", "as"}'
_BUCKET = 'must be {"field", "by", "as"}, or a list of such'

Body = TypeVar("Body", bound=BaseModel)
Item = TypeVar("Item")

ListLimit = Annotated[int, Query(ge=1, le=1000, description="At most this many items.")]
ListAfter = Annotated[str, Query(max_length=200, description="Only items behind this one.")]
Words = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1, strict=True)]
# What we number by, in paths and parameters: as many bits as the databases have for it.
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def _read_moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError(TIME_HINT)
    moment = parse_time(value)
    if moment < _FIRST:
        raise ValueError("must lie in 1970 or later")
    return moment


def _check_sum(text: str) -> str:
    read_sum(text)
    return text


Moment = Annotated[datetime, BeforeValidator(_read_moment)]
Sum = Annotated[str, Field(min_length=43, max_length=43), AfterValidator(_check_sum)]
_REVISION = re.compile(r"[0-9]{1,18}")


def _read_as_of(value: object) -> object:
    """A revision, as a number or as digits; or a moment with its offset."""
    if isinstance(value, str):
        with suppress(ValueError):
            return int(value) if _REVISION.fullmatch(value) else parse_time(value)
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18:
        return value
    raise ValueError("must be a revision, or a time with its offset")


AsOf = Annotated[int | AwareDatetime, BeforeValidator(_read_as_of)]


class Shape(BaseModel):
    """What a body may hold; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureItem(Shape):
    """A measure of the dataset, by its name."""

    measure: Words


class AggregateItem(Shape):
    """A field put together over each group; some read a second one, `by`."""

    aggregate: Words
    field: Words = ""
    by: Words = ""
    name: Words = Field(default="", alias="as")


class BucketItem(Shape):
    """Group moments by the period they fall in: day, week, month, quarter or year."""

    field: Words
    by: Words
    name: Words = Field(default="", alias="as")


class OrderItem(Shape):
    """Sort by a field or an output name."""

    by: Words
    descending: StrictBool = False


class QueryBody(Shape):
    """A question to a dataset; with a bucket or anything aggregated, plain names are the group."""

    dataset: Words
    select: list[Words | MeasureItem | AggregateItem] = Field(default=[], max_length=200)
    where: str = ""
    bucket: BucketItem | list[BucketItem] | None = None
    order: list[OrderItem] = Field(default=[], max_length=20)
    limit: int = Field(default=1000, ge=1, strict=True)
    next: str = Field(default="", max_length=8000)
    as_of: AsOf | None = None
    timezone: Words = ""
    require: Words = ""
    max_lag: Words = ""
    require_assurance: Words = ""
    until: Words = ""


class KeyBody(Shape):
    """A key to be issued."""

    scopes: list[Words] = Field(min_length=1, max_length=10)
    name: Words = ""
    expires_at: Moment | None = None


class ContractBody(Shape):
    """Terms of a contract; what is left out stays as it is, or is the template's.

    Source: docs/completeness.md, "Contracts"
    """

    from_at: Moment | None = Field(default=None, alias="from")
    bucket_s: Count | None = None
    close_delay_s: Count | None = None
    grace_s: Count | None = None
    objective_s: Count | None = None
    heartbeat_s: Count | None = None
    lateness_s: Count | None = None
    stall_s: Count | None = None
    skew_s: Count | None = None
    required_anchor: Words | None = None
    shards: list[Words] | None = Field(default=None, max_length=256)

    def terms(self) -> dict[str, Any]:
        """The terms that were told."""
        told = {name: value for name, value in self if value is not None}
        return told | ({"shards": tuple(self.shards)} if self.shards is not None else {})


class SourceBody(Shape):
    """A source to be registered."""

    source: Words
    kind: Words = "push"
    takes_occurred_at: StrictBool = False
    endpoint: str | None = Field(default=None, max_length=2000)
    evidence_url: str | None = Field(default=None, max_length=2000)
    streams: list[Words] | None = Field(default=None, max_length=100)
    contract: ContractBody | None = None


class EvidenceUrlBody(Shape):
    """Where a source is asked which events it made; null lets it be asked no more."""

    evidence_url: str | None = Field(max_length=2000)


class RebuildBody(Shape):
    """What is to be rebuilt: all that is said must hold of an entity; nothing said is everything.

    from, to: some event of it was received in this window
    """

    stream: Words | None = None
    module: Words | None = None
    learner: Words | None = None
    from_at: Moment | None = Field(default=None, alias="from")
    to_at: Moment | None = Field(default=None, alias="to")


class DeadBody(Shape):
    """Which dead events: exactly one of entity, seqs, stream, all; `by` is who asks for it."""

    entity: str | None = Field(default=None, min_length=1, max_length=4000)
    seqs: list[Annotated[int, Field(ge=1, le=2**63 - 1, strict=True)]] = Field(
        default=[], max_length=1000
    )
    stream: Words | None = None
    everything: StrictBool = Field(default=False, alias="all")
    by: Annotated[str, Field(max_length=100)] = ""


class WaiveBody(DeadBody):
    """Which dead events shall count no more, and why."""

    reason: str = Field(min_length=1, max_length=2000)


class SourceKeyBody(Shape):
    """A new key of a source's evidence, for what is recorded from a moment on."""

    valid_from: Moment | None = None


class ManifestBody(Shape):
    """What a source made of a stream in an interval.

    Source: docs/completeness.md, "Manifests"
    """

    spec: Literal["fm/1"]
    source: Words
    stream: Words
    shard: Words = ""
    from_at: Moment = Field(alias="from")
    to_at: Moment = Field(alias="to")
    anchor: Words
    version: Count = Field(default=1, ge=1)
    count: Count
    alg: Words
    key_id: Words = ""
    sum: Sum | None = None


class StreamBeatBody(Shape):
    """What a heartbeat says of one stream."""

    stream: Words
    closed_through: Moment | None = None
    pending: Count | None = None
    oldest_pending: Moment | None = None


class HeartbeatBody(Shape):
    """A source's sign of life."""

    spec: Literal["fm/1"] = "fm/1"
    source: Words
    sent_at: Moment
    seq: Count
    streams: list[StreamBeatBody] = Field(default=[], max_length=100)


class SplitBody(Shape):
    """A range of elements by the digests of its sixteen parts, or of its four."""

    lo: Words = WHOLE_SPACE.lo
    hi: Words = WHOLE_SPACE.hi
    counts: list[Count] = Field(min_length=FEWER_PARTS, max_length=PARTS)
    sums: list[Sum] = Field(min_length=FEWER_PARTS, max_length=PARTS)


class EventNameBody(Shape):
    """An event by its id, with the digest of its data if it has one."""

    id: Words
    digest: Words = ""


class ElementsBody(Shape):
    """What a source holds of a declared interval: by ranges, or by ids."""

    splits: list[SplitBody] = Field(default=[], max_length=256)
    events: list[EventNameBody] = Field(default=[], max_length=10_000)


class WaiverBody(Shape):
    """Who says that a defect may stay, and why."""

    person: Words = Field(min_length=1)
    reason: str = Field(min_length=1, max_length=2000)


BODIES: tuple[type[Shape], ...] = (
    QueryBody,
    KeyBody,
    SourceBody,
    SourceKeyBody,
    EvidenceUrlBody,
    ContractBody,
    ManifestBody,
    HeartbeatBody,
    ElementsBody,
    WaiverBody,
    RebuildBody,
    DeadBody,
    WaiveBody,
)


def read_shape(shape: type[Body], body: bytes, *, headers: Headers, settings: Settings) -> Body:
    """Read a JSON body into its shape, as strictly as events are read.

    Raises: BodyTypeUnknown, BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge, BodyNotJson,
        BodyInvalid with at most 20 problems, none of which echoes the input
    """
    return fit_shape(shape, read_body(body, headers=headers, settings=settings))


def read_body(body: bytes, *, headers: Headers, settings: Settings) -> Any:
    """Read a JSON body, of whatever shape.

    Raises: BodyTypeUnknown, BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge, BodyNotJson
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise BodyTypeUnknown("this path reads JSON", hint="Send Content-Type: application/json.")
    plain = unpack_body(body, headers.get("content-encoding"), settings)
    return read_json(plain, settings)


def fit_shape(shape: type[Body], value: Any) -> Body:
    """Fit a JSON value into its shape.

    Raises: BodyInvalid with at most 20 problems, none of which echoes the input
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        problems = dict.fromkeys(_tell_fault(fault["loc"], str(fault["msg"])) for fault in faults)
        raise BodyInvalid(
            "the body does not have the expected shape", problems=list(problems)[:MAX_PROBLEMS]
        ) from None


def list_response(
    items: Sequence[Item],
    *,
    path: str,
    key: Callable[[Item], str],
    describe: Callable[[Item], Any],
    limit: int = _LIST_ROWS,
    after: str = "",
) -> Response:
    """A page of items that are ordered by their key, with the way to the next page."""
    behind = [item for item in items if key(item) > after]
    page = behind[:limit]
    headers = {}
    following: str | None = None
    if len(behind) > limit:
        last = quote(key(page[-1]), safe="")
        following = f"{path}?limit={limit}&after={last}"
        headers["Link"] = f'<{following}>; rel="next"'
    told = {"items": [describe(item) for item in page], "next": following}
    return json_response(told, headers=headers)


def body_of(shape: str) -> dict[str, Any]:
    """What the API docs tell of a route's body."""
    reference = {"$ref": REFERENCE.format(model=shape)}
    content = {"application/json": {"schema": reference}}
    return {"requestBody": {"required": True, "content": content}}


def _tell_fault(location: tuple[int | str, ...], message: str) -> Problem:
    """One fault; of a selected item that is of no kind, its three kinds are told once."""
    if location[:1] == ("select",) and len(location) > 2:
        location, message = location[:2], _SELECTED
    if location[:1] == ("bucket",) and len(location) > 1:
        location, message = location[:1], _BUCKET
    path = ""
    for part in location:
        name = f"[{part}]" if isinstance(part, int) else f".{part}"
        path += name.encode("utf-8", "replace").decode()
    return Problem(path.removeprefix(".")[:100], message)
