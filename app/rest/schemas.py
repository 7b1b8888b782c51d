"""Shapes on the wire that routes share: bodies read strictly, lists paged, problems described."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response

from app.base.config import Settings
from app.base.errors import BodyInvalid, BodyTypeUnknown, Problem
from app.http.stream import json_response
from app.intake.strict_json import read_json
from app.intake.unpack import unpack_body

REFERENCE = "#/components/schemas/{model}"
MAX_PROBLEMS = 20
_LIST_ROWS = 100
_SELECTED = 'must be a name, {"measure": name}, or {"field", "aggregate", "as"}'

Body = TypeVar("Body", bound=BaseModel)
Item = TypeVar("Item")

ListLimit = Annotated[int, Query(ge=1, le=1000, description="At most this many items.")]
ListAfter = Annotated[str, Query(max_length=200, description="Only items behind this one.")]
Words = Annotated[str, Field(max_length=200)]


class Shape(BaseModel):
    """What a body may hold; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureItem(Shape):
    """A measure of the dataset, by its name."""

    measure: Words


class AggregateItem(Shape):
    """A field put together over each group."""

    aggregate: Words
    field: Words = ""
    name: Words = Field(default="", alias="as")


class OrderItem(Shape):
    """Sort by a field or an output name."""

    by: Words
    descending: StrictBool = False


class QueryBody(Shape):
    """A question to a dataset; with a measure or aggregate selected, plain names are the group."""

    dataset: Words
    select: list[Words | MeasureItem | AggregateItem] = Field(default=[], max_length=200)
    where: str = ""
    order: list[OrderItem] = Field(default=[], max_length=20)
    limit: int = Field(default=1000, ge=1, strict=True)
    next: str = Field(default="", max_length=8000)
    as_of: AwareDatetime | None = None
    timezone: Words = ""


class KeyBody(Shape):
    """A key to be issued."""

    scopes: list[Words] = Field(min_length=1, max_length=10)
    name: Words = ""
    expires_at: AwareDatetime | None = None


class SourceBody(Shape):
    """A source to be registered."""

    source: Words
    kind: Words = "push"
    takes_occurred_at: StrictBool = False
    endpoint: str | None = Field(default=None, max_length=2000)


BODIES: tuple[type[Shape], ...] = (QueryBody, KeyBody, SourceBody)


def read_shape(shape: type[Body], body: bytes, *, headers: Headers, settings: Settings) -> Body:
    """Read a JSON body into its shape, as strictly as events are read.

    Raises: BodyTypeUnknown, BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge, BodyNotJson,
        BodyInvalid with at most 20 problems, none of which echoes the input
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise BodyTypeUnknown("this path reads JSON", hint="Send Content-Type: application/json.")
    plain = unpack_body(body, headers.get("content-encoding"), settings)
    value = read_json(plain, settings)
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
    path = ""
    for part in location:
        name = f"[{part}]" if isinstance(part, int) else f".{part}"
        path += name.encode("utf-8", "replace").decode()
    return Problem(path.removeprefix(".")[:100], message)
