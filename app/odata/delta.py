"""Changes of a set: which questions can be tracked, the links that ask for later changes, and
changed and removed entities as JSON.

Source: OData Protocol 4.01, 11.3; OData JSON Format 4.01, 15; docs/odata.md, "Changes"
"""

from collections.abc import Iterator

from app.base.errors import BadOption, NotAcceptable, NotSupported, RevisionGone
from app.odata.asking import PLAIN_TEXT, Asker, Reading, limit_of
from app.odata.options import Options, delta_query
from app.odata.path import Address
from app.odata.rows import ID, dress_rows
from app.odata.selection import Selection
from app.odata.writer import deleted_context, delta_context, dump, write_key, write_page
from app.query.answer import Answer
from app.query.delta import Changes, delta_token, is_trackable, run_delta
from app.query.plan import Plan

_TRACKED = "tracked!"


def can_track(asker: Asker, address: Address, plan: Plan) -> bool:
    """Can changes of these rows be told in the form this caller reads?"""
    if address.way or asker.style.is_csv or asker.style.level == "none":
        return False
    # Version 4.0 has no place for related rows within a change.
    if plan.request.expand and asker.version == "4.0":
        return False
    return is_trackable(plan, asker.store.dialect_name)


def split_tracked(token: str) -> tuple[bool, str]:
    """Whether the walk of a page token is tracked, and the token itself."""
    return token.startswith(_TRACKED), token.removeprefix(_TRACKED)


def join_tracked(token: str, *, is_tracked: bool) -> str:
    """A page token that keeps in mind whether its walk is tracked."""
    return f"{_TRACKED}{token}" if is_tracked else token


def link_delta(asker: Asker, answer: Answer) -> str | None:
    """The link to what changes after the last page of a walk; None before that page."""
    token = delta_token(answer.plan, asker.store, answer)
    return None if token is None else _link(asker, token)


def refuse_delta(asker: Asker, address: Address, options: Options) -> None:
    """Refuse what no changes can be told of or in.

    Raises: BadOption, NotSupported, NotAcceptable
    """
    if options.token:
        raise BadOption("$deltatoken and $skiptoken exclude one another", target="$deltatoken")
    if options.apply:
        raise NotSupported("changes of what $apply gives are not tracked", target="$deltatoken")
    if address.way:
        raise NotSupported("changes behind a navigation are not tracked", target="$deltatoken")
    if asker.style.is_csv:
        raise NotAcceptable("changes are answered as application/json")


def read_delta(asker: Asker, plan: Plan, *, token: str, selection: Selection) -> Reading:
    """A page of changes: entities that changed, and those that are gone.

    Raises: BadToken, RevisionGone, NotSupported, NotAcceptable
    """
    if asker.style.level == "none":
        raise NotAcceptable("changes need control information; ask for odata.metadata=minimal")
    if selection.inner and asker.version == "4.0":
        raise NotSupported(
            "changes of expanded rows are not told in version 4.0",
            hint="Leave OData-MaxVersion out, or $expand.",
            target="$expand",
        )
    changes = _find_changes(asker, plan, token)
    dress = asker.dress(plan.dataset, selection, plan)
    rows = dress_rows(changes.rows_json, dress)
    gone = write_removed(asker, changes)
    shown = selection.shown(asker.version)
    body = write_page(
        b",".join(filter(None, (rows, *gone))),
        asker.envelope(delta_context(asker.feed, plan.dataset, shown), changes.freshness),
        count=changes.total,
        next_link=None if changes.next is None else _link(asker, changes.next),
        delta_link=None if changes.delta is None else _link(asker, changes.delta),
    )
    return Reading(body, changes.freshness)


def count_delta(asker: Asker, plan: Plan, *, token: str) -> Reading:
    """How many changes there are, as plain text (OData Protocol 4.01, 11.3.2)."""
    changes = _find_changes(asker, plan, token)
    return Reading(str(changes.total).encode(), changes.freshness, PLAIN_TEXT)


def write_removed(asker: Asker, changes: Changes) -> Iterator[bytes]:
    """The entities that are gone, as this version tells them.

    Source: OData JSON Format 4.01, 15.3
    """
    dataset = changes.plan.dataset
    for key in changes.removed:
        reason = "deleted" if key in changes.deleted else "changed"
        address = f"{dataset.name}({write_key(dataset, {dataset.key[0]: key})})"
        context = {"@odata.context": deleted_context(asker.feed, dataset)}
        if asker.version == "4.0":
            yield dump(context | {"id": address, "reason": reason})
        else:
            told = {"@removed": {"reason": reason}, ID: address}
            yield dump(context | told if asker.style.level == "full" else told)


def _find_changes(asker: Asker, plan: Plan, token: str) -> Changes:
    try:
        return run_delta(plan, asker.store, token, limit_s=limit_of(asker))
    except RevisionGone as gone:
        raise RevisionGone(
            gone.detail,
            hint="Begin anew at Location, with Prefer: odata.track-changes.",
            headers={"Location": _link(asker, "")},
        ) from gone


def _link(asker: Asker, token: str) -> str:
    """The absolute link with a delta token; without one, to the rows themselves."""
    path = asker.call.path.removesuffix("/$count")
    query = delta_query(asker.query, token)
    return f"{asker.feed.root}/{path}" + (f"?{query}" if query else "")
