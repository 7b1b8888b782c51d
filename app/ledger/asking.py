"""What a declared interval lacks, asked of its source: only ranges that differ are looked into.

A source is asked outside of any transaction, and nothing waits for it. Names are taken from it only
where its own key makes the element of them. Source: docs/completeness.md, "Finding the missing".
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

from app.base.config import Settings
from app.base.errors import AddressRefused, OutsideFailed
from app.base.facts import AskingFailed, SourceAsked
from app.base.observe import observe
from app.learning.elements import finish_element, sum_elements
from app.learning.ranges import (
    FEW,
    FEWER_PARTS,
    WHOLE_SPACE,
    Differences,
    Digest,
    Range,
    compare_parts,
    elements_within,
    split_range,
)
from app.ledger.inquiries import (
    Claimed,
    claim_inquiry,
    end_inquiry,
    fail_inquiry,
    keep_progress,
    leave_inquiry,
    renew_inquiry,
)
from app.ledger.missing import read_accepted
from app.ledger.names import Naming, begin_interval_elements
from app.ledger.peer import NAMED_AT_ONCE, Peer
from app.store.engine import Store, snapshot
from app.store.tables.inquiries import NAMED_MISSING, NAMED_SURPLUS

_PAGED_SHARE = 0.05
_PAGED_RANGES = 64
_RANGES_A_ROUND = 32
_ROUNDS_A_TURN = 20
_RENEWED_S = 30.0
_LISTED = 0
"""A wanted range of so many parts is listed instead of split."""

_MOST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class _Ours:
    """Our side of the interval: ids by element, elements in order, and what makes an element."""

    names: dict[bytes, str]
    ordered: list[bytes]
    begun: hmac.HMAC


@dataclass(slots=True)
class _Round:
    """What a few ranges have told.

    candidates: elements that are missing by arithmetic, each with its range, to be confirmed
    want: the ranges to be looked into next
    """

    named: list[Naming] = field(default_factory=list)
    candidates: dict[bytes, tuple[Range, int]] = field(default_factory=dict)
    want: list[Range] = field(default_factory=list)


def ask_once(store: Store, settings: Settings) -> bool:
    """Ask the source of one interval what is missing; False when there is nothing to ask."""
    claimed = claim_inquiry(store, settings)
    if claimed is None:
        return False
    peer = Peer(
        claimed.url, claimed.interval, settings, renew=_make_renewal(store, settings, claimed)
    )
    try:
        _ask_about(store, settings, claimed, peer)
    except (AddressRefused, OutsideFailed) as error:
        words = error.detail
        count = fail_inquiry(store, settings, claimed, error=words, waits_s=peer.waits_s)
        if count:
            observe(AskingFailed(claimed.environment_id, claimed.source_key, count, words))
    return True


def _make_renewal(store: Store, settings: Settings, claimed: Claimed) -> partial[None]:
    return partial(_renew_in_time, store, settings, claimed, [monotonic()])


def _renew_in_time(
    store: Store, settings: Settings, claimed: Claimed, renewed: list[float]
) -> None:
    if monotonic() - renewed[-1] > _RENEWED_S:
        renew_inquiry(store, settings, claimed)
        renewed.append(monotonic())


def _ask_about(store: Store, settings: Settings, claimed: Claimed, peer: Peer) -> None:
    """Take an inquiry on for a turn; it ends when no range is left that differs."""
    ours = _read_ours(store, claimed)
    want, after = _begin_want(claimed, ours) if claimed.want is None else _go_on(claimed)
    missing = surplus = 0
    for _ in range(_ROUNDS_A_TURN):
        if not want and after is None:
            end_inquiry(store, claimed, error=None)
            asked = SourceAsked(
                claimed.environment_id,
                claimed.source_key,
                claimed.interval.stream,
                claimed.interval.from_at,
                missing,
                surplus,
            )
            observe(asked)
            return
        before = peer.request_count
        if after is not None:
            named, after = _read_page(peer, ours, after)
        else:
            told = _look_into(peer, ours, want[:_RANGES_A_ROUND])
            named, want = told.named, [*want[_RANGES_A_ROUND:], *told.want]
            if len(want) > max(_PAGED_RANGES, _PAGED_SHARE * claimed.declared.count):
                want, after = [], ""
        keep_progress(
            store,
            settings,
            claimed,
            named=named,
            want=want,
            after=after,
            request_count=peer.request_count - before,
        )
        missing += sum(one.kind == NAMED_MISSING for one in named)
        surplus += len(named) - sum(one.kind == NAMED_MISSING for one in named)
    leave_inquiry(store, claimed)


def _read_ours(store: Store, claimed: Claimed) -> _Ours:
    with snapshot(store) as connection:
        names = read_accepted(connection, claimed.environment_id, claimed.interval)
        begun = begin_interval_elements(connection, claimed.environment_id, claimed.interval)
    return _Ours(names, sorted(names), begun)


def _go_on(claimed: Claimed) -> tuple[list[Range], str | None]:
    return list(claimed.want or ()), claimed.after


def _begin_want(claimed: Claimed, ours: _Ours) -> tuple[list[Range], str | None]:
    """Where to begin: nowhere when all is accepted, with pages when very much is missing."""
    if Digest(len(ours.ordered), sum_elements(ours.ordered)) == claimed.declared:
        return [], None
    if claimed.declared.count <= FEW:
        return [replace(WHOLE_SPACE, parts=_LISTED)], None
    if claimed.declared.count - len(ours.ordered) > _PAGED_SHARE * claimed.declared.count:
        return [], ""
    return [WHOLE_SPACE], None


def _look_into(peer: Peer, ours: _Ours, parts: Sequence[Range]) -> _Round:
    """Split or list ranges, and have what arithmetic says is missing confirmed."""
    told = _Round()
    for part in parts:
        if part.parts == _LISTED:
            told.named += _compare_list(peer.list_range(part), ours, part)
            continue
        pieces = split_range(part, part.parts)
        for piece, digest in zip(pieces, peer.digest_parts(part), strict=True):
            _compare_piece(ours, piece, digest, told)
    _confirm_candidates(peer, ours, told)
    return told


def _compare_piece(ours: _Ours, piece: Range, digest: Digest, told: _Round) -> None:
    found = Differences()
    compare_parts(ours.ordered, [(piece, digest)], found)
    for element in found.missing:
        told.candidates[element] = (piece, digest.count)
    told.named += [Naming(one, NAMED_SURPLUS, ours.names[one]) for one in found.surplus]
    told.want += [replace(part, parts=_LISTED) for part in found.few]
    told.want += found.want


def _confirm_candidates(peer: Peer, ours: _Ours, told: _Round) -> None:
    """Ask for candidates by element; where the source has no such event, look into the range."""
    wanted = sorted(told.candidates)
    for start in range(0, len(wanted), NAMED_AT_ONCE):
        answered = peer.name_elements(wanted[start : start + NAMED_AT_ONCE])
        for naming in _name_all(answered, ours):
            if told.candidates.pop(naming.element, None) is not None:
                told.named.append(naming)
    for piece, count in told.candidates.values():
        is_few = count <= FEW or len(piece.lo) >= _MOST_DIGITS
        told.want.append(replace(piece, parts=_LISTED if is_few else FEWER_PARTS))


def _compare_list(events: Sequence[tuple[str, str]], ours: _Ours, part: Range) -> list[Naming]:
    """Both sides of a range that was listed: what we lack, and what the source does not count."""
    theirs = {naming.element: naming for naming in _name_all(events, ours)}
    missing = [naming for element, naming in theirs.items() if element not in ours.names]
    inside = elements_within(ours.ordered, part)
    surplus = [Naming(e, NAMED_SURPLUS, ours.names[e]) for e in inside if e not in theirs]
    return [*missing, *surplus]


def _read_page(peer: Peer, ours: _Ours, after: str) -> tuple[list[Naming], str | None]:
    """What a page of all its events has that we lack, and where the next page begins."""
    events, following = peer.list_page(after)
    lacking = [naming for naming in _name_all(events, ours) if naming.element not in ours.names]
    return lacking, following or None


def _name_all(events: Sequence[tuple[str, str]], ours: _Ours) -> list[Naming]:
    return [
        Naming(finish_element(ours.begun, event_id, digest), NAMED_MISSING, event_id, digest)
        for event_id, digest in events
    ]
