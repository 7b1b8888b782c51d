"""Environments made, weighed, listed. A caller's key names one; nothing else from outside does."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Select, func, insert, select, update

from app.base.clock import now
from app.base.errors import BadName, NameTaken, UnknownName
from app.store.tables.access import Environment, is_open
from app.store.tables.columns import table_of

_CROSSING = {"across_environments": "environments are made and listed on the command line"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """An environment as its owner may see it.

    last_seq: the newest journal number
    last_revision: the newest revision of its projections
    """

    environment_id: int
    environment: str
    name: str
    timezone: str
    weight: int
    last_seq: int
    last_revision: int
    created_at: datetime


def add_environment(
    connection: Connection, *, environment_key: str, name: str = "", timezone: str = "UTC"
) -> int:
    """Make an environment and give its number.

    Raises: BadName, NameTaken
    """
    check_name(environment_key, what="environment")
    if len(name) > _LABEL_LENGTH or not (name or environment_key).isprintable():
        raise BadName(f"a name has at most {_LABEL_LENGTH} printable characters")
    check_timezone(timezone)
    table = table_of(Environment)
    taken = connection.execute(
        select(table.c.environment_id).where(table.c.environment_key == environment_key),
        execution_options=_CROSSING,
    ).scalar_one_or_none()
    if taken is not None:
        raise NameTaken(f"there is an environment {environment_key!r} already")
    newest = connection.execute(
        select(func.coalesce(func.max(table.c.environment_id), 0)), execution_options=_CROSSING
    ).scalar_one()
    environment_id = int(newest) + 1
    connection.execute(
        insert(table).values(
            environment_id=environment_id,
            environment_key=environment_key,
            name=name or environment_key,
            timezone=timezone,
            weight=1,
            last_seq=0,
            last_revision=0,
            created_at=now(),
        )
    )
    return environment_id


def set_weight(connection: Connection, environment_id: int, weight: int) -> None:
    """Let an environment come round this often beside others that have work too.

    Shape: weight: 1 to 100
    """
    table = table_of(Environment)
    connection.execute(
        update(table).where(table.c.environment_id == environment_id).values(weight=weight)
    )


def list_environments(connection: Connection) -> tuple[EnvironmentFacts, ...]:
    """Every environment, by its key."""
    table = table_of(Environment)
    rows = connection.execute(
        _facts().where(is_open(table)).order_by(table.c.environment_key),
        execution_options=_CROSSING,
    )
    return tuple(EnvironmentFacts(*row) for row in rows)


def environment_named(connection: Connection, environment_key: str) -> EnvironmentFacts:
    """The environment of this key.

    Raises: UnknownName
    """
    table = table_of(Environment)
    row = connection.execute(
        _facts().where(is_open(table), table.c.environment_key == environment_key),
        execution_options=_CROSSING,
    ).first()
    if row is None:
        raise UnknownName(
            f"there is no environment {environment_key[:100]!r}",
            hint="See them all: fullcount environments list",
        )
    return EnvironmentFacts(*row)


def environment_of(connection: Connection, environment_id: int) -> EnvironmentFacts:
    """The environment of this number, which a caller's key has named."""
    table = table_of(Environment)
    row = connection.execute(_facts().where(table.c.environment_id == environment_id)).one()
    return EnvironmentFacts(*row)


def check_name(name: str, *, what: str) -> None:
    """Refuse a name that would have to be escaped somewhere.

    Raises: BadName
    """
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name[:100]!r} is no name for the {what}",
            hint="1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit.",
        )


def check_timezone(timezone: str) -> None:
    """Refuse a time zone that the tz database does not know.

    Raises: BadName
    """
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadName(
            f"{timezone[:100]!r} is no time zone", hint="Such as UTC or Europe/Vienna."
        ) from None


def _facts() -> Select[*tuple[Any, ...]]:
    table = table_of(Environment)
    return select(
        table.c.environment_id,
        table.c.environment_key,
        table.c.name,
        table.c.timezone,
        table.c.weight,
        table.c.last_seq,
        table.c.last_revision,
        table.c.created_at,
    )
