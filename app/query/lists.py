"""Options of a list that `$select` names in, the fields that show its chosen members out.

Source: OData Protocol 4.01, 11.2.5.1; URL Conventions 4.01, 5.1.4
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, func, select

from app.base.errors import BadOption, BadSyntax, NotSupported, TooComplex
from app.catalog.fields import Dataset, Field, Frame, Type
from app.query.binding import Binder
from app.query.conditions import open_rows, write_condition
from app.query.expr import AsOf, Chosen, Literal, Rows
from app.query.filters import check_value
from app.query.frames import DatasetFrame
from app.query.grammar import parse_orderby
from app.query.nodes import Node
from app.query.selections import Item, parse_select
from app.query.sorting import Sorted, sort_term, sorted_rows
from app.store.json_fields import QuotedText, place_of
from app.store.jsontext import joined_list

OFFERED = frozenset({"filter", "search", "orderby", "top", "skip", "count"})
COUNT_ENDING = "@odata.count"


def list_fields(dataset: Dataset, text: str, binder: Binder) -> tuple[Chosen, Field, Field | None]:
    """Of an item like `tags($filter=...)` what it chooses, the list, and its count if asked.

    Raises: BadSyntax, NotSupported, BadOption, and what the binding of expressions raises
    """
    item, *more = parse_select(text)
    if more or item.parameters or len(item.path) > 1:
        raise BadSyntax(f"{text[:60]!r} is no list with options", target="$select")
    field = dataset.field(item.path[0])
    if field is None or not binder.may_see(field.scope):
        binder.refuse_name(dataset, item.path[0])
    if field.type is not Type.TEXTS:
        raise NotSupported(f"{field.name} is no list; it takes no options", target="$select")
    chosen, options = _choose_members(item, field, binder), dict(item.options)
    shown = _made_field(field, field.name, Type.TEXTS, lambda frame: _write_list(chosen, frame))
    if options.get("count", "").strip().lower() != "true":
        return chosen, shown, None
    name = f"{field.name}{COUNT_ENDING}"
    count = _made_field(field, name, Type.INT, lambda frame: _write_count(chosen, frame))
    return chosen, shown, count


def _choose_members(item: Item, field: Field, binder: Binder) -> Chosen:
    options = dict(item.options)
    for name, text in options.items():
        if name.startswith("@"):
            binder.aliases[name.removeprefix("@")] = text
        elif name not in OFFERED:
            raise NotSupported(f"${name} of a list in $select is not supported", target="$select")
    rows = Rows(Type.NULL, f"{field.name}#0", "", (), field, binder.dataset)
    if "filter" in options:
        rows = binder.filter_rows(rows, binder.parse(options["filter"]))
    if "search" in options:
        rows = binder.restrict_rows(rows, binder.search_rows(rows, options["search"]))
    terms, descends = [], []
    for node, descending in _read_order(options.get("orderby", ""), binder):
        binder.check_size(node)
        with binder.variable("$this", rows, bare=True):
            by = check_value(binder.bind(node), "a list cannot be sorted by it")
        if isinstance(by, Literal | AsOf):
            raise BadOption("a constant is nothing to sort by", hint="Sort by $this.")
        terms.append(by)
        descends.append(descending)
    top = int(options["top"]) if "top" in options else None
    skip = int(options.get("skip", "0"))
    return Chosen(Type.TEXTS, rows, tuple(terms), tuple(descends), top, skip)


def _read_order(text: str, binder: Binder) -> tuple[tuple[Node, bool], ...]:
    """What members are sorted by, within the limits of any order."""
    if not text:
        return ()
    binder.check_length(text)
    items = parse_orderby(text, binder.settings.limit_filter_depth)
    most = binder.settings.limit_orderby
    if len(items) > most:
        raise TooComplex(f"$orderby has {len(items)} parts; the limit orderby is {most}")
    return items


def _made_field(
    field: Field, name: str, kind: Type, write: Callable[[DatasetFrame], ColumnElement[Any]]
) -> Field:
    """A column of this name in place of a list's own."""

    def write_it(frame: Frame) -> ColumnElement[Any]:
        if not isinstance(frame, DatasetFrame):
            raise TypeError(type(frame).__name__)
        return write(frame)

    return Field(name, kind, field.label, field.description, nullable=False, sql=write_it)


def _open_members(
    chosen: Chosen, frame: DatasetFrame
) -> tuple[DatasetFrame, FromClause, Select[Any]]:
    """The frame with the present member, where members come from, and those that are meant."""
    inner, source, conditions = open_rows(chosen.rows, frame)
    if not isinstance(source, FromClause):
        raise TypeError("a list has members, not rows")
    if chosen.rows.where is not None:
        conditions.append(write_condition(chosen.rows.where, inner))
    found = select().select_from(source).where(*conditions).correlate_except(source)
    return inner, source, found


def _write_count(chosen: Chosen, frame: DatasetFrame) -> ColumnElement[Any]:
    _, _, found = _open_members(chosen, frame)
    return found.add_columns(func.count()).scalar_subquery()


def _write_list(chosen: Chosen, frame: DatasetFrame) -> ColumnElement[Any]:
    """The text of a JSON list; members that sort alike keep their places."""
    inner, source, found = _open_members(chosen, frame)
    member: Any = inner.rows[chosen.rows.name]
    order = zip(chosen.order, chosen.descends, strict=True)
    terms = [sort_term(by, inner, descending=descends) for by, descends in order]
    place = Sorted(place_of(source), Type.INT, descending=False, nullable=False)
    found = sorted_rows(found.add_columns(QuotedText(member).label("j")), [*terms, place])
    if chosen.top is not None or chosen.skip:
        found = found.limit(2**63 - 1 if chosen.top is None else chosen.top).offset(chosen.skip)
    page = found.subquery()
    return select(joined_list(page.c.j)).select_from(page).scalar_subquery()
