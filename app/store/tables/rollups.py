"""Counts and sums of progress rows, kept in the transaction that changes them.

What a rollup tells apart and adds up is said here alone: by its columns.
"""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.store.tables.columns import CLUSTERED, Long


class _Rolled(SQLModel):
    """What every rollup of progress has; tombstones are not counted.

    rolled_key: JSON list of the values it tells apart
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    rolled_key: str = Field(primary_key=True, max_length=4000)
    row_count: int = Field(default=0, sa_type=Long)
    attempts: int = Field(default=0, sa_type=Long)
    time_spent_s: int = Field(default=0, sa_type=Long)
    events_count: int = Field(default=0, sa_type=Long)


class ProgressByType(_Rolled, table=True):
    """Progress by module type, status and whether it was passed."""

    __tablename__ = "progress_by_type"

    module_type: str | None = Field(default=None, max_length=40)
    status: str = Field(max_length=20)
    passed: bool | None = None

    __table_args__ = (CLUSTERED,)


class ProgressByModule(_Rolled, table=True):
    """Progress by module and series, besides."""

    __tablename__ = "progress_by_module"

    module_key: str = Field(max_length=200)
    module_type: str | None = Field(default=None, max_length=40)
    series_key: str = Field(default="", max_length=200)
    status: str = Field(max_length=20)
    passed: bool | None = None

    __table_args__ = (Index(None, "environment_id", "module_key"), CLUSTERED)


ROLLUPS: tuple[type[SQLModel], ...] = (ProgressByType, ProgressByModule)
"""The rollups of progress, the coarsest first."""

ROLLED_SUMS = tuple(
    name
    for name in _Rolled.model_fields
    if name not in {"environment_id", "rolled_key", "row_count"}
)
"""The whole-number columns of progress that every rollup adds up."""


def rolled_columns(rollup: type[SQLModel]) -> tuple[str, ...]:
    """The columns of progress that a rollup tells apart."""
    return tuple(name for name in rollup.model_fields if name not in _Rolled.model_fields)
