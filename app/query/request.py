"""Request: what was asked, in names. Every front makes one; nothing in it is looked up yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by a field path (`due_at`, `module/name`); in a grouped request, by an output name."""

    by: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """Bring the related rows of a navigation along; an empty select means all fields.

    where, order, top, skip: which of several rows, in the words of $filter and $orderby
    """

    navigation: str
    select: tuple[str, ...] = ()
    expand: tuple["Expand", ...] = ()
    where: str = ""
    order: str = ""
    top: int | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Group moments by the `day`, `week` (from Monday) or `month` they fall in, in the request's
    zone; the value is the first day.

    name: of the column
    """

    name: str
    field: str
    by: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number per group.

    function: an aggregate of the catalog; empty for a measure, or with `where` for a count
    field: what is aggregated; empty for count
    where: only rows for which this holds
    label: what people read; made from the field when empty
    """

    name: str
    function: str = ""
    field: str = ""
    where: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A question about one dataset.

    select: field names; empty means all
    where: condition in the expression language of $filter
    key: values of the key fields, for one entity
    group, buckets, aggregates: when any is given, rows are groups
    top: at most this many rows over all pages; None means all
    page_rows: at most this many rows in this answer
    after: the token of the page before
    count: also count all rows of the condition
    count_only: nothing but that count
    as_of: the moment for overdue and the like; None means now
    timezone: the zone of days, weeks and months
    aliases: values of @parameters in expressions, as expression text
    order_text: $orderby as the client wrote it; instead of `order`
    """

    dataset: str
    select: tuple[str, ...] = ()
    where: str = ""
    key: Mapping[str, Any] | None = None
    group: tuple[str, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    order: tuple[Order, ...] = ()
    order_text: str = ""
    expand: tuple[Expand, ...] = ()
    top: int | None = None
    skip: int = 0
    page_rows: int | None = None
    after: str = ""
    count: bool = False
    count_only: bool = False
    as_of: datetime | None = None
    timezone: str = "UTC"
    aliases: Mapping[str, str] = field(default_factory=dict)
