"""Signed proof of what an answer claimed, and what is known of that same answer now.

A receipt is a token; nothing of it is stored here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from itsdangerous import BadSignature
from sqlalchemy import Connection, func, or_, select

from app.base.errors import BadToken
from app.base.seals import sealer_of
from app.ledger.facts import Freshness, StreamLag
from app.ledger.verdict import State
from app.store.tables import Defect
from app.store.tables.columns import table_of

_SALT = "receipts"
_ADDRESS_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer claimed.

    digest: of the question
    streams: the streams it touched, with the verdict of each
    target_at: through when it had to be complete
    address: where it was asked; empty when that is long or a body told it
    """

    environment_id: int
    digest: str
    dataset: str
    revision: int
    verdict: str
    reason: str | None
    streams: tuple[tuple[str, str], ...]
    through: datetime | None
    target_at: datetime | None
    missing: int
    answered_at: datetime
    address: str = ""


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What is known now of the streams of a receipt, as they were for that answer.

    verdict: what was said then, or `incomplete` when a defect of it has been found and that is
        worse
    missing: events, of all such defects, also of those repaired since
    found_at: when the first of them was found; None when none was
    """

    verdict: str
    missing: int
    found_at: datetime | None
    defects: int


def sign_claim(
    freshness: Freshness,
    *,
    environment_id: int,
    digest: str,
    dataset: str,
    address: str,
    secret: bytes,
) -> str:
    """Seal what an answer claims: question, revision, streams, verdict and time."""
    standing = freshness.standing
    body = [
        environment_id,
        digest,
        dataset,
        freshness.revision,
        str(freshness.verdict.state),
        freshness.verdict.reason,
        _states_of(freshness.streams),
        _seconds(standing.complete_through),
        _seconds(standing.target_at),
        standing.missing or 0,
        freshness.evaluated_at.timestamp(),
        address if len(address) <= _ADDRESS_LENGTH else "",
    ]
    return str(sealer_of(secret, _SALT).dumps(body))


def open_claim(token: str, *, environment_id: int, secret: bytes) -> Receipt:
    """Open a receipt of this environment.

    Raises: BadToken
    """
    try:
        body = sealer_of(secret, _SALT).loads(token)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadToken("this receipt was not written here") from error
    if body[0] != environment_id:
        raise BadToken("this receipt was not written here")
    return Receipt(
        environment_id=body[0],
        digest=body[1],
        dataset=body[2],
        revision=body[3],
        verdict=body[4],
        reason=body[5],
        streams=tuple((name, state) for state, names in body[6].items() for name in names),
        through=_moment(body[7]),
        target_at=_moment(body[8]),
        missing=body[9],
        answered_at=datetime.fromtimestamp(body[10], UTC),
        address=body[11],
    )


def look_back(connection: Connection, receipt: Receipt) -> Hindsight:
    """What is known now of the data a receipt speaks of: defects of buckets before its target that
    were open at the time of the answer or found later.
    """
    defect = table_of(Defect)
    names: Sequence[str] = [name for name, _ in receipt.streams] + [""]
    target_at = receipt.target_at or receipt.answered_at
    row = connection.execute(
        select(
            func.count().label("defects"),
            func.coalesce(func.sum(defect.c.most_missing), 0).label("missing"),
            func.min(defect.c.detected_at).label("found_at"),
        ).where(
            defect.c.environment_id == receipt.environment_id,
            defect.c.stream.in_(names),
            defect.c.from_at < target_at,
            or_(defect.c.resolved_at.is_(None), defect.c.resolved_at > receipt.answered_at),
        )
    ).one()
    said = State(receipt.verdict)
    found = max(said, State.INCOMPLETE, key=lambda state: state.severity)
    return Hindsight(
        verdict=str(found if row.defects else said),
        missing=int(row.missing),
        found_at=row.found_at,
        defects=row.defects,
    )


@lru_cache(maxsize=256)
def _states_of(streams: tuple[StreamLag, ...]) -> dict[str, list[str]]:
    """The names of the streams by the state of their verdict."""
    names: dict[str, list[str]] = {}
    for stream in streams:
        names.setdefault(str(stream.verdict.state), []).append(stream.stream)
    return names


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
