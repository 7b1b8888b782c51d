"""Fields that every dataset carries, and short ways to write the usual ones."""

from sqlalchemy import ColumnElement

from app.catalog.fields import Field, Frame, Role, Type
from app.store.words import IsUnset


def key_text(name: str, label: str, description: str, *, nullable: bool = False) -> Field:
    """A text key given from outside, of up to 200 characters."""
    return Field(
        name, Type.TEXT, label, description, role=Role.KEY, nullable=nullable, max_length=200
    )


def key_number(name: str, label: str, description: str) -> Field:
    """A number of ours that identifies a row within its environment."""
    return Field(name, Type.INT, label, description, role=Role.KEY, nullable=False)


def moment(name: str, label: str, description: str, *, nullable: bool = True) -> Field:
    """A UTC moment."""
    return Field(name, Type.TIME, label, description, role=Role.DATE, nullable=nullable)


def count(name: str, label: str, description: str, *, nullable: bool = False) -> Field:
    """A whole number that can be added up."""
    return Field(name, Type.INT, label, description, role=Role.MEASURE, nullable=nullable)


def number(name: str, label: str, description: str, *, unit: str | None = None) -> Field:
    """A measured number, null when not known."""
    return Field(name, Type.NUMBER, label, description, role=Role.MEASURE, unit=unit)


def percent(name: str, label: str, description: str) -> Field:
    """A number from 0 to 100, null when not known."""
    return number(name, label, description, unit="percent")


def text(name: str, label: str, description: str, *, scope: str | None = None) -> Field:
    """A text of up to 2,000 characters, null when not given."""
    return Field(name, Type.TEXT, label, description, scope=scope, max_length=2000)


def flag(name: str, label: str, description: str, *, nullable: bool = False) -> Field:
    """True or false."""
    return Field(name, Type.BOOL, label, description, nullable=nullable)


def not_deleted(frame: Frame) -> ColumnElement[bool]:
    """Rows that are no tombstones."""
    return IsUnset(frame.base.c.is_deleted)


CHANGED_AT = moment("changed_at", "Changed at", "When this row last changed here.", nullable=False)
REVISION = Field(
    "revision",
    Type.INT,
    "Revision",
    "The environment's revision that last changed this row.",
    nullable=False,
)
EVENTS_COUNT = count("events_count", "Events", "Events folded into this row.")
