"""Who did what: acts of people and keys that change what counts, kept for good."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from app.store.tables.columns import Long, UtcDateTime


class Audit(SQLModel, table=True):
    """One act.

    actor: the public part of the key that did it, with the name its caller gave, or `cli`
    action: `noun.verb`, such as `stream.removed` or `dead.waived`
    target: what it was done to, in words of the API
    details: JSON object: before, after, reason, counts
    """

    environment_id: int = Field(
        primary_key=True, sa_type=Long, foreign_key="environment.environment_id"
    )
    audit_id: int = Field(primary_key=True, sa_type=Long)
    acted_at: datetime = Field(sa_type=UtcDateTime)
    actor: str = Field(max_length=200)
    action: str = Field(max_length=40)
    target: str = Field(max_length=400)
    details: str = Field(sa_type=Text)
