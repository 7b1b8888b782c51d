"""Folded learners and teams in, their rows, profiles and memberships out."""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, select

from app.learning.attributes import can_be_field, join_kinds
from app.learning.people import LearnerFolded, LearnerState, TeamFolded
from app.processing.rows import RowDict, Stamp, add_stubs, replace_children, write_entities
from app.store.dialect import upsert_rows
from app.store.tables import Learner, LearnerAttribute, LearnerProfile, Membership, Team
from app.store.tables.columns import table_of

_PROFILE = ("display_name", "email", "employee_no")
# Further ones are kept with the learner, and are no fields.
_MOST_ATTRIBUTES = 500


def write_learners(connection: Connection, stamp: Stamp, folded: Sequence[LearnerFolded]) -> None:
    """Write learners, their profiles apart, their memberships, and stubs for whom they name."""
    states = [result.state for result in folded]
    rows = [_learner_row(state) for state in states]
    write_entities(connection, table_of(Learner), stamp, key=("learner_key",), rows=rows)
    profiles = [
        {name: getattr(state, name) for name in ("learner_key", *_PROFILE)} for state in states
    ]
    write_entities(connection, table_of(LearnerProfile), stamp, key=("learner_key",), rows=profiles)
    memberships = [
        {
            "learner_key": result.state.learner_key,
            "team_key": row.team_key,
            "since": row.since,
            "until": row.until,
        }
        for result in folded
        for row in result.memberships
    ]
    replace_children(
        connection,
        table_of(Membership),
        stamp,
        parent=("learner_key", {state.learner_key for state in states}),
        key=("learner_key", "team_key", "since"),
        rows=memberships,
    )
    kinds = [told for result in folded for told in result.attribute_kinds.items()]
    define_attributes(connection, stamp, kinds)
    managers = {state.manager_key for state in states if state.manager_key}
    add_stubs(connection, table_of(Learner), stamp, managers)
    teams = {row.team_key for result in folded for row in result.memberships}
    add_stubs(connection, table_of(Team), stamp, teams)


def define_attributes(
    connection: Connection, stamp: Stamp, told: Sequence[tuple[str, str]]
) -> None:
    """Define attributes that are new, and make texts of those whose values are no longer alike.

    told: codes and the kinds of their values
    """
    fresh = join_kinds((code, kind) for code, kind in told if can_be_field(code))
    if not fresh:
        return
    table = table_of(LearnerAttribute)
    rows = connection.execute(
        select(table.c.code, table.c.kind).where(table.c.environment_id == stamp.environment_id)
    )
    known = {row.code: row.kind for row in rows}
    room = max(_MOST_ATTRIBUTES - len(known), 0)
    new = sorted(set(fresh) - set(known))[:room]
    joined = join_kinds([*known.items(), *((code, fresh[code]) for code in fresh if code in known)])
    changed = [(code, kind) for code, kind in joined.items() if known[code] != kind]
    changed += [(code, fresh[code]) for code in new]
    upsert_rows(
        connection,
        table,
        ("environment_id", "code", "kind", "revision", "changed_at"),
        [(stamp.environment_id, code, kind, stamp.revision, stamp.now) for code, kind in changed],
        key=("environment_id", "code"),
        update=("kind", "revision", "changed_at"),
    )


def write_teams(connection: Connection, stamp: Stamp, folded: Sequence[TeamFolded]) -> None:
    """Write teams, and stubs for their parents; a removed team is a tombstone."""
    states = [result.state for result in folded]
    rows = [
        {
            "team_key": state.team_key,
            "name": state.name or state.team_key,
            "kind": state.kind or "team",
            "parent_key": state.parent_key,
            "known": state.known,
            "events_count": state.events_count,
            "is_deleted": state.is_removed,
        }
        for state in states
    ]
    write_entities(connection, table_of(Team), stamp, key=("team_key",), rows=rows)
    parents = {state.parent_key for state in states if state.parent_key}
    add_stubs(connection, table_of(Team), stamp, parents)


def _learner_row(state: LearnerState) -> RowDict:
    return {
        "learner_key": state.learner_key,
        "status": state.status,
        "known": state.known,
        "team_key": state.team_key,
        "manager_key": state.manager_key,
        "job_title": state.job_title,
        "department": state.department,
        "location": state.location,
        "country": state.country,
        "timezone": state.timezone,
        "hired_on": state.hired_on,
        "attributes": orjson.dumps(state.attributes, option=orjson.OPT_SORT_KEYS).decode(),
        "events_count": state.events_count,
        "is_deleted": False,
    }
