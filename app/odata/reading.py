"""An address and options in, Requests to the pipeline, the answer's body and headers out.

Holds no rule about numbers: what a question means is the planner's, what it finds the database's.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from app.base.errors import BadOption, BadToken, NotSupported, TooComplex
from app.catalog.fields import Dataset
from app.odata.apply import (
    begin_with,
    dress_transformed,
    flatten_rows,
    keeps_set,
    tell_added,
    tell_columns,
)
from app.odata.asking import (
    PLAIN_TEXT,
    Asker,
    Reading,
    ask,
    plan_question,
    run_question,
    unchanged_reading,
)
from app.odata.delta import (
    can_track,
    count_delta,
    join_tracked,
    link_delta,
    read_delta,
    refuse_delta,
    split_tracked,
)
from app.odata.entities import LIST_OPTIONS, bind_place, read_entity, read_property, read_reference
from app.odata.options import (
    SYSTEM,
    Options,
    next_query,
    read_moment,
    read_options,
    read_revision,
    refuse_options,
)
from app.odata.path import Address, Kind
from app.odata.preferences import write_applied
from app.odata.rows import (
    ID,
    dress_row,
    dress_rows,
    join_objects,
    list_references,
    split_objects,
    write_csv,
)
from app.odata.selection import Selection
from app.odata.writer import entity_context, set_context, write_page
from app.query.answer import Answer
from app.query.plan import Plan
from app.query.request import Request

ALLOWED: dict[Kind, Iterable[str]] = {
    Kind.SET: SYSTEM,
    Kind.COUNT: tuple(name for name in SYSTEM if name not in {"skiptoken", "count"}),
    Kind.REFERENCES: tuple(
        name for name in SYSTEM if name not in {"select", "expand", "deltatoken", "apply"}
    ),
    Kind.ENTITY: ("select", "expand", "compute"),
    Kind.REFERENCE: (),
    Kind.PROPERTY: (),
    Kind.VALUE: (),
    Kind.ALL: ("skiptoken",),
}
# Asked of all entities they mean something, which is not built (URL Conventions 4.01, 4.15).
ALL_OPTIONS = frozenset(SYSTEM) - {"skiptoken"}


def read_address(asker: Asker, address: Address) -> Reading:
    """The answer to a request for data.

    Raises: every error of the planner, of the pages and of the options
    """
    if address.kind is Kind.ALL:
        return read_everything(asker)
    allowed = LIST_OPTIONS if address.is_list else ALLOWED[address.kind]
    if address.is_object:
        allowed = ("select",)
    refuse_options(asker.query, allowed, address.kind.spoken)
    if address.field is not None:
        return read_property(asker, address)
    if address.kind is Kind.REFERENCE:
        return read_reference(asker, address)
    options = read_options(asker.query, address.dataset, feed=asker.feed, limits=asker.settings)
    if options.delta:
        refuse_delta(asker, address, options)
        # What became null is told (Protocol 4.01, 8.2.8.6).
        asker = replace(asker, wishes=replace(asker.wishes, omit_nulls=False))
    if address.kind is Kind.ENTITY:
        return grant_wishes(asker, read_entity(asker, address, options))
    where = bind_place(asker, address, "" if options.apply else options.where)
    if options.apply:
        # The rows of the path are transformed; $filter asks what comes of it.
        options = replace(options, apply=begin_with(where, options.apply))
        where = options.where
    if address.kind is Kind.COUNT:
        return read_count_of(asker, address, options=options, where=where)
    return read_rows(asker, address, options=options, where=where)


def read_count_of(asker: Asker, address: Address, *, options: Options, where: str) -> Reading:
    """How many rows there are, or how many changes, as plain text."""
    selection = options.selection
    request = Request(
        dataset=address.dataset.name,
        where=where,
        search=options.search,
        compute=options.compute,
        apply=options.apply,
        count_only=True,
        aliases=options.aliases,
        as_of=options.as_of,
        revision=options.revision,
    )
    if options.delta:
        request = replace(request, select=selection.select, expand=selection.expand)
        return count_delta(asker, plan_question(asker, request), token=options.delta)
    # Which rows there are is asked, and not what they hold: so only that is judged.
    counted = ask(asker, replace(request, select=() if options.apply else address.dataset.key))
    return Reading(str(counted.total).encode(), counted.freshness, PLAIN_TEXT)


# A page of rows


def read_rows(asker: Asker, address: Address, *, options: Options, where: str) -> Reading:
    """A page of a set or of the rows behind a navigation, of their references, or of changes."""
    if asker.style.is_csv:
        return read_csv_page(asker, address, options=options, where=where)
    if options.apply and not keeps_set(options.apply, asker.settings):
        return read_transformed(asker, address, options=options, where=where)
    is_reference = address.kind is Kind.REFERENCES
    selection = Selection(address.dataset.key) if is_reference else options.selection
    needs_ids = asker.dress(address.dataset, selection).needs_ids or is_reference
    was_tracked, token = split_tracked(options.token)
    request = page_request(
        asker,
        address,
        options=replace(options, token=token) if was_tracked else options,
        where=where,
        select=selection.select,
        expand=selection.expand,
        id_name="" if asker.style.level == "none" and not needs_ids else ID,
        id_always=needs_ids,
    )
    plan = plan_question(asker, request, is_tagged=not options.delta)
    if options.delta:
        changes = read_delta(asker, plan, token=options.delta, selection=selection)
        return grant_wishes(asker, changes, pages=True, tracks=True)
    answer = run_question(asker, plan)
    if answer.is_unchanged:
        return unchanged_reading(answer)
    is_asked = was_tracked if token else bool(asker.wishes.track_name)
    is_tracked = is_asked and not is_reference and can_track(asker, address, plan)
    body = write_rows(asker, address, answer, selection=selection, is_tracked=is_tracked)
    reading = Reading(body, answer.freshness, etag=answer.tag)
    return grant_wishes(asker, reading, pages=True, tracks=is_tracked and not token)


def write_rows(
    asker: Asker, address: Address, answer: Answer, *, selection: Selection, is_tracked: bool
) -> bytes:
    """The body of a page, with the links to what follows."""
    if address.kind is Kind.REFERENCES:
        rows = list_references(answer.rows_json)
        context = f"{asker.feed.root}/$metadata#Collection($ref)"
    else:
        rows = dress_rows(answer.rows_json, asker.dress(address.dataset, selection, answer.plan))
        shown = selection.shown(asker.version) or tell_added(answer.plan, address.dataset)
        context = set_context(asker.feed, address.dataset, shown)
    return write_page(
        rows,
        asker.envelope(context, answer.freshness),
        count=answer.total,
        next_link=link_next(asker, answer, is_tracked=is_tracked),
        delta_link=link_delta(asker, answer) if is_tracked else None,
    )


def read_transformed(asker: Asker, address: Address, *, options: Options, where: str) -> Reading:
    """A page of what $apply makes of a set, when that is no longer rows of the set."""
    request = page_request(
        asker, address, options=options, where=where, select=options.selection.select
    )
    plan = plan_question(asker, request, is_tagged=True)
    answer = run_question(asker, plan)
    if answer.is_unchanged:
        return unchanged_reading(answer)
    context = set_context(asker.feed, address.dataset, tell_columns(plan))
    body = write_page(
        dress_transformed(answer.rows_json, plan, asker.dress(address.dataset, Selection(), plan)),
        asker.envelope(context, answer.freshness),
        count=answer.total if options.count else None,
        next_link=link_next(asker, answer),
    )
    reading = Reading(body, answer.freshness, etag=answer.tag)
    return grant_wishes(asker, reading, pages=True)


def page_request(
    asker: Asker, address: Address, *, options: Options, where: str, **others: Any
) -> Request:
    """The question for one page of rows.

    others: what else the question says, by the names of a Request
    """
    others.setdefault("page_rows", asker.wishes.page_rows)
    return Request(
        dataset=address.dataset.name,
        where=where,
        search=options.search,
        compute=options.compute,
        apply=options.apply,
        order_text=options.order,
        top=options.top,
        skip=options.skip,
        count=options.count,
        after=options.token,
        aliases=options.aliases,
        as_of=options.as_of,
        revision=options.revision,
        demand=asker.demand,
        tell_type=asker.tell_type,
        tell_dates=asker.tell_dates,
        **others,
    )


def link_next(asker: Asker, answer: Answer, *, is_tracked: bool = False) -> str | None:
    """The absolute link to the page after this one."""
    if answer.next is None:
        return None
    token = join_tracked(answer.next, is_tracked=is_tracked)
    return f"{asker.feed.root}/{asker.call.path}?{next_query(asker.query, token)}"


def grant_wishes(
    asker: Asker, reading: Reading, *, pages: bool = False, tracks: bool = False
) -> Reading:
    """The same reading, saying which of the caller's preferences it follows.

    tracks: are its changes tracked from here on?
    """
    wishes = asker.wishes
    applied = []
    if pages and wishes.page_rows:
        applied.append(f"{wishes.page_name}={wishes.page_rows}")
    if tracks and wishes.track_name:
        applied.append(wishes.track_name)
    if wishes.omit_nulls:
        applied.append("omit-values=nulls")
    if wishes.annotations:
        applied.append(f'include-annotations="{",".join(wishes.annotations)}"')
    if wishes.is_strict:
        applied.append("handling=strict")
    if not applied:
        return reading
    return replace(reading, headers={**reading.headers, **write_applied(applied)})


# Tables


def read_csv_page(asker: Asker, address: Address, *, options: Options, where: str) -> Reading:
    """All rows as one table; a page of them for those who ask for pages.

    Raises: TooComplex, where there are more rows than a table holds, rather than to cut it
    """
    selection = options.selection
    if selection.expand or address.kind is not Kind.SET:
        raise BadOption("a table holds the columns of one set; leave $expand out", target="$format")
    most = asker.settings.limit_page_rows_asked
    by_pages = bool(asker.wishes.page_rows or options.token)
    request = page_request(
        asker,
        address,
        options=options,
        where=where,
        select=selection.select,
        page_rows=asker.wishes.page_rows or most,
    )
    plan = plan_question(asker, request, is_tagged=True)
    answer = run_question(asker, plan)
    if answer.is_unchanged:
        return unchanged_reading(answer)
    following = link_next(asker, answer)
    if following and not by_pages:
        raise TooComplex(
            f"the table has more than {most} rows",
            hint="Say $top, or Prefer: odata.maxpagesize and follow the header Link.",
        )
    return table_reading(asker, plan, answer, following)


def table_reading(asker: Asker, plan: Plan, answer: Answer, following: str | None) -> Reading:
    """A table and the headers that belong to it."""
    rows = flatten_rows(answer.rows_json) if plan.shape.is_nested else answer.rows_json
    columns = [field.name for field in plan.shape.fields]
    body = write_csv(rows, tuple(name for name in columns if "@" not in name))
    etag = answer.tag
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    reading = Reading(body, answer.freshness, asker.style.media_type, headers=headers, etag=etag)
    return grant_wishes(asker, reading, pages=True)


# All sets


def read_everything(asker: Asker) -> Reading:
    """A page of all entities of all sets and of all singletons, one after the other.

    The token of a page names the set it begins in.

    Raises: NotSupported, for options that the standard knows there
    Source: OData URL Conventions 4.01, 4.15
    """
    for option in sorted(ALL_OPTIONS & asker.query.system.keys()):
        raise NotSupported(f"${option} behind $all is not supported", target=f"${option}")
    refuse_options(asker.query, ALLOWED[Kind.ALL], Kind.ALL.spoken)
    sets = asker.feed.datasets
    name, _, token = asker.query.system.get("skiptoken", "").partition("!")
    names = [one.name for one in sets]
    if name and name not in names:
        raise BadToken("this page token was not made here", hint="Start the walk anew.")
    place = names.index(name) if name else 0
    dataset = sets[place]
    as_of = asker.query.custom.get("as_of", "")
    request = Request(
        dataset=dataset.name,
        as_of=read_moment(as_of),
        revision=read_revision(as_of),
        after=token,
        page_rows=asker.wishes.page_rows,
        id_name=ID,
        id_always=True,
        tell_dates=asker.tell_dates,
    )
    answer = ask(asker, request)
    following = names[place + 1] if place + 1 < len(names) else ""
    if answer.next:
        following = f"{dataset.name}!{answer.next}"
    envelope = asker.envelope(
        f"{asker.feed.root}/$metadata#Collection(Edm.EntityType)", answer.freshness
    )
    link = f"{asker.feed.root}/$all?{next_query(asker.query, following)}" if following else None
    body = write_page(tell_sets(asker, answer, dataset), envelope, count=None, next_link=link)
    return grant_wishes(asker, Reading(body, answer.freshness), pages=True)


def tell_sets(asker: Asker, answer: Answer, dataset: Dataset) -> bytes:
    """Rows of one set, each with the context and type that tell it from those of others."""
    dress = asker.dress(dataset, Selection())
    own: dict[str, str] = {}
    if asker.style.level != "none":
        own["@odata.context"] = entity_context(asker.feed, dataset, "")
        own["@odata.type"] = f"#{dress.type_name}"
    return join_objects(own | dress_row(row, dress) for row in split_objects(answer.rows_json))
