"""Request: what was asked, in names. Every front makes one; nothing in it is looked up yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.catalog.fields import Field
from app.query.demand import NO_DEMAND, Demand

TYPE_ENDING = "@odata.type"


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by a field path (`due_at`, `module/name`); in a grouped request, by an output name."""

    by: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """Bring the related rows of a navigation along; an empty select means all fields.

    where, order, top, skip: which of several rows, in the words of $filter and $orderby
    compute: columns to be reckoned, as $compute has them; search: as $search has it
    aliases: values of @parameters that are known in here only, each with its name
    count_name: beside several rows, a member of this name says how many there are before top
        and skip; empty for none
    is_way: a step of the path to the row that is asked for, which `$it` means
    """

    navigation: str
    select: tuple[str, ...] = ()
    expand: tuple["Expand", ...] = ()
    where: str = ""
    order: str = ""
    top: int | None = None
    skip: int = 0
    count_name: str = ""
    compute: str = ""
    search: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    is_way: bool = False


@dataclass(frozen=True, slots=True)
class Bucket:
    """Group moments by the `day`, `week` (from Monday), `month`, `quarter` or `year` they fall in,
    in the request's zone; the value is the first day.

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
    by: the second field of an aggregate of two: the moments by which `first` and `last` choose
    where: only rows for which this holds
    label: what people read; made from the field when empty
    """

    name: str
    function: str = ""
    field: str = ""
    where: str = ""
    label: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A question about one dataset.

    select: field names, those of lists with options: `tags($top=3)`; empty means all
    where: condition in the expression language of $filter
    search: words that rows must hold, in the language of $search
    compute: columns to be reckoned, as `expression as name, ...`; select, where and order may name
        them, and without a select they are part of the answer
    apply: transformations of the rows, in the language of $apply; all else asks what they give
    key: values of the key fields, for one entity
    group, buckets, aggregates: when any is given, rows are groups
    top: at most this many rows over all pages; None means all
    page_rows: at most this many rows in this answer
    after: the token of the page before
    count: also count all rows of the condition
    count_only: nothing but that count
    as_of: the moment for overdue and the like; None means now
    revision: the environment's revision to be read; None means the newest
    timezone: the zone of days, weeks and months
    aliases: values of @parameters in expressions, as expression text
    order_text: $orderby as the client wrote it; instead of `order`
    id_name: rows that lack a part of their key hold their address, such as `Modules(7)`, in a
        member of this name; empty for none
    id_always: so do all others
    tell_type: the type of a column that the question makes, as rows tell it beside the value; None
        where it is not told
    tell_dates: are the dates among the members of open objects told with their type?
    demand: how fresh the answer must be
    """

    dataset: str
    select: tuple[str, ...] = ()
    where: str = ""
    search: str = ""
    compute: str = ""
    apply: str = ""
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
    revision: int | None = None
    timezone: str = "UTC"
    id_name: str = ""
    id_always: bool = False
    tell_type: Callable[[Field], str] | None = None
    tell_dates: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    demand: Demand = NO_DEMAND
