"""What was said of the streams of a walk when it began, held against all its later pages.

Rows of a past revision prove no more than was known of them then, so no page claims more than the
one before it, nor for a later moment. Source: docs/completeness.md, "Pages and past revisions"
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.base.clock import format_time
from app.learning.times import parse_time
from app.ledger.facts import Freshness, StreamLag
from app.ledger.verdict import State, Verdict, roll_up


@dataclass(frozen=True, slots=True)
class Claim:
    """What was said of a stream.

    through: everything recorded before was there; None when nobody could say
    """

    verdict: Verdict
    through: datetime | None = None


# What was said, each with the streams of all of which just that was said.
Claims = tuple[tuple[Claim, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What was said when a walk began; nothing before its first page.

    target_at: through when all of it had to be complete; None when nobody could say
    """

    claims: Claims = ()
    target_at: datetime | None = None


NOTHING_TOLD = Told()


def note_claims(freshness: Freshness) -> Told:
    """What is said of each stream and through when, to be kept in a token."""
    return Told(_claims_of(freshness.streams), freshness.standing.target_at)


@lru_cache(maxsize=256)
def _claims_of(streams: tuple[StreamLag, ...]) -> Claims:
    told: dict[Claim, list[str]] = {}
    for one in sorted(streams, key=lambda stream: stream.stream):
        claim = Claim(one.standing.verdict, one.standing.complete_through)
        told.setdefault(claim, []).append(one.stream)
    return tuple((claim, tuple(names)) for claim, names in told.items())


def pack_claims(told: Told) -> tuple[Any, ...]:
    """Claims as a token holds them; targets are whole seconds, as buckets are."""
    if not told.claims:
        return ()
    target_at = told.target_at
    return (None if target_at is None else int(target_at.timestamp()), *_packed(told.claims))


@lru_cache(maxsize=256)
def _packed(claims: Claims) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (
            claim.verdict.state,
            claim.verdict.reason,
            claim.verdict.is_waived,
            None if claim.through is None else format_time(claim.through),
            names,
        )
        for claim, names in claims
    )


def unpack_claims(packed: Sequence[Any]) -> Told:
    """Claims out of a token.

    Raises: TypeError or ValueError for those of an older version
    """
    if not packed:
        return NOTHING_TOLD
    target_s, *claims = packed
    return Told(
        tuple((_claim_of(*said), tuple(names)) for *said, names in claims),
        None if target_s is None else datetime.fromtimestamp(target_s, UTC),
    )


@lru_cache(maxsize=256)
def _claim_of(state: str, reason: str | None, waived: bool, through: str | None) -> Claim:
    verdict = Verdict(State(state), reason, waived)
    return Claim(verdict, None if through is None else parse_time(through))


def hold_claims(freshness: Freshness, told: Told, *, revision: int) -> Freshness:
    """The freshness of rows of a revision: the worse of today's and what was told, by stream, for
    the earlier of both targets.
    """
    if freshness.revision != revision:
        freshness = replace(freshness, revision=revision)
    if not told.claims:
        return freshness
    target_at = freshness.standing.target_at
    if told.target_at is not None and target_at is not None and told.target_at < target_at:
        standing = replace(freshness.standing, target_at=told.target_at)
        freshness = replace(freshness, standing=standing)
    if told.claims == _claims_of(freshness.streams):
        return freshness
    claims = {name: claim for claim, names in told.claims for name in names}
    held = [_hold_stream(one, claims.get(one.stream)) for one in freshness.streams]
    if all(one is today for one, today in zip(held, freshness.streams, strict=True)):
        return freshness
    streams = tuple(sorted(held, key=lambda one: -one.verdict.state.severity))
    throughs = [one.standing.complete_through for one in streams]
    whole = freshness.standing.complete_through
    known = [moment for moment in throughs if moment is not None]
    through = None if whole is None or len(known) < len(throughs) else min([whole, *known])
    verdict = roll_up([*(one.verdict for one in streams), freshness.verdict])
    standing = replace(freshness.standing, verdict=verdict, complete_through=through)
    return replace(
        freshness,
        verdict=verdict,
        streams=streams,
        standing=standing,
        is_settled=freshness.is_settled and whole == through,
    )


def _hold_stream(stream: StreamLag, claim: Claim | None) -> StreamLag:
    if claim is None:
        return stream
    standing = stream.standing
    if claim == Claim(standing.verdict, standing.complete_through):
        return stream
    known = [m for m in (claim.through, standing.complete_through) if m is not None]
    standing = replace(
        standing,
        verdict=roll_up((claim.verdict, standing.verdict)),
        complete_through=min(known) if len(known) > 1 else None,
    )
    return replace(stream, standing=standing)
