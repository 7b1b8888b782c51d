"""Shared column types, constraint names and the way from a table class to its Core table."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Table
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

from app.base.clock import format_time

# Constraint names are fixed, so that migrations can name them on both databases.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A UTC moment: `timestamptz` on PostgreSQL, fixed-width RFC 3339 text with Z on SQLite.

    The text is already an Edm.DateTimeOffset and sorts as the moments do; formatting epochs while
    JSON is written costs 40 % (docs/performance.md).
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of this database."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python in, database out."""
        if value is None or dialect.name != "sqlite":
            return value
        return format_time(value)

    def process_result_value(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002  (SQLAlchemy passes it by name)
    ) -> datetime | None:
        """Database in, Python out."""
        return None if value is None else decode_moment(value)


def decode_moment(value: Any) -> datetime:
    """A moment as a driver gives it: text on SQLite."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    moment: datetime = value
    return moment.astimezone(UTC)


# SQLite makes a rowid alias only of INTEGER; composite keys may hold BIGINT on both.
Long = BigInteger().with_variant(Integer(), "sqlite")


# Rows kept in the order of their key on SQLite: a join by key is one search instead of two.
CLUSTERED = {"sqlite_with_rowid": False}


def table_of(model: type[SQLModel]) -> Table:
    """The Core table behind a table class: statements are written in Core."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table
