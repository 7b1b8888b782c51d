"""What a caller demands of the freshness of an answer, read from its words and held against it.

Source: docs/completeness.md, "Asking for more"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from app.base.clock import format_time
from app.base.errors import BadOption, FreshnessUnmet, NotYetFresh
from app.ledger.facts import Freshness
from app.ledger.verdict import ANCHORS, State

DEMANDS = ("require", "max_lag", "require_assurance", "until")
_REQUIRED = {
    "complete": (State.COMPLETE,),
    "catching_up": (State.COMPLETE, State.CATCHING_UP),
}
_DURATION = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6}(?:\.\d{1,6})?)S)?)?"
)
_UNITS_S = (86_400, 3600, 60, 1)
_RETRY_S = 30
LONGEST_RETRY_S = 120


@dataclass(frozen=True, slots=True)
class Demand:
    """What must be true of an answer, and what of it the caller has already.

    require: `complete`, `catching_up` or empty
    max_lag_s: how old complete data may be
    require_assurance: the weakest anchor the evidence may have
    until_complete: leave out what is behind complete_through
    known_tags: entity tags of answers the caller keeps
    address: where it was asked, for the receipt
    variant: what else the written answer depends on, such as its format
    """

    require: str = ""
    max_lag_s: float | None = None
    require_assurance: str = ""
    until_complete: bool = False
    known_tags: tuple[str, ...] = ()
    address: str = ""
    variant: tuple[Any, ...] = ()


NO_DEMAND = Demand()


def read_demand(
    given: Mapping[str, str],
    *,
    floor: str = "",
    if_none_match: str = "",
    address: str = "",
    variant: tuple[Any, ...] = (),
) -> Demand:
    """The demand in these options; others are left alone.

    floor: what is required whatever the options say
    Raises: BadOption
    """
    if not given and not if_none_match:
        return Demand(require=floor, address=address, variant=variant)
    until = _word(given, "until", ("complete",))
    return Demand(
        require=floor or _word(given, "require", tuple(_REQUIRED)),
        max_lag_s=_duration_s(given.get("max_lag", "")),
        require_assurance=_word(given, "require_assurance", ANCHORS),
        until_complete=bool(until),
        known_tags=tuple(tag.strip() for tag in if_none_match.split(",") if tag.strip()),
        address=address,
        variant=variant,
    )


def check_demand(demand: Demand, freshness: Freshness) -> None:
    """Hold an answer's freshness against what is demanded.

    Raises: NotYetFresh when waiting helps, FreshnessUnmet when it does not
    """
    if demand.require and freshness.verdict.state not in _REQUIRED[demand.require]:
        told = _describe(freshness)
        if freshness.verdict.state is State.CATCHING_UP:
            raise NotYetFresh(
                f"the data is still {told}; {demand.require} was required",
                hint="Ask again as Retry-After says.",
                retry_after_s=_RETRY_S,
                freshness=freshness,
            )
        raise FreshnessUnmet(
            f"the data is {told}; {demand.require} was required", hint=_HINT, freshness=freshness
        )
    _check_lag(demand, freshness)
    _check_assurance(demand, freshness)


def refuse_clipped(name: str, freshness: Freshness) -> NoReturn:
    """Say that `until=complete` has left out the one entity that was asked for.

    name: of its set
    Raises: NotYetFresh when waiting helps, FreshnessUnmet when it does not
    """
    through = freshness.standing.complete_through
    ends = "" if through is None else f" at {format_time(through)}"
    detail = f"this entity of {name} came or changed behind what is complete, which ends{ends}"
    if freshness.verdict.state in _REQUIRED["catching_up"]:
        raise NotYetFresh(
            detail,
            hint="Ask again as Retry-After says, or without until.",
            retry_after_s=LONGEST_RETRY_S,
            freshness=freshness,
        )
    raise FreshnessUnmet(detail, hint="Ask without until.", freshness=freshness)


_HINT = "The Link of this answer leads to the streams and their defects."


def _check_lag(demand: Demand, freshness: Freshness) -> None:
    if demand.max_lag_s is None:
        return
    lag_s = freshness.standing.data_lag_s(freshness.evaluated_at)
    if lag_s is not None and lag_s <= demand.max_lag_s:
        return
    told = "nobody can say how old" if lag_s is None else f"complete up to {lag_s:.0f} s ago"
    detail = f"the data is {told}; at most {demand.max_lag_s:.0f} s was required"
    if lag_s is not None and freshness.verdict.state in _REQUIRED["catching_up"]:
        raise NotYetFresh(
            detail,
            hint="Ask again as Retry-After says.",
            retry_after_s=min(LONGEST_RETRY_S, max(1, int(lag_s - demand.max_lag_s))),
            freshness=freshness,
        )
    raise FreshnessUnmet(detail, hint=_HINT, freshness=freshness)


def _check_assurance(demand: Demand, freshness: Freshness) -> None:
    if not demand.require_assurance:
        return
    standing = freshness.standing
    is_told = all(stream.standing.assurance is not None for stream in freshness.streams)
    has = standing.assurance if is_told and freshness.streams else None
    if has is None or ANCHORS.index(has) < ANCHORS.index(demand.require_assurance):
        raise FreshnessUnmet(
            f"the evidence is {has or 'missing'}; {demand.require_assurance} was required",
            hint=_HINT,
            freshness=freshness,
        )


def _describe(freshness: Freshness) -> str:
    state, reason = freshness.verdict.state, freshness.verdict.reason
    return f"{state} ({reason})" if reason else str(state)


def _word(given: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    value = given.get(name, "")
    if value and value not in words:
        raise BadOption(
            f"{name} cannot be {value[:100]!r}", hint=f"It is {' or '.join(words)}.", target=name
        )
    return value


def _duration_s(text: str) -> float | None:
    """A duration of ISO 8601 in days, hours, minutes and seconds.

    Raises: BadOption
    Source: OData ABNF, durationValue; ISO 8601-1, 5.5.2
    """
    if not text:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise BadOption(
            f"max_lag is {text[:100]!r}; it is a duration", hint="Such as PT30M.", target="max_lag"
        )
    return sum(
        float(part) * unit_s for part, unit_s in zip(match.groups(), _UNITS_S, strict=True) if part
    )
