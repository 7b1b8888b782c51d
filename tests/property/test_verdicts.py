"""Laws of the verdict: evidence alone raises it, time alone lowers it, nothing kept outlives it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from app.base.config import Settings
from app.ledger.buckets import fold_everywhere
from app.ledger.facts import Freshness, read_freshness, read_lag
from app.ledger.verdict import (
    DEFECT_KINDS,
    Facts,
    KnownDefects,
    State,
    Terms,
    Unmatched,
    complete_through,
    holds_until,
    judge_stream,
)
from app.store.engine import Store, snapshot
from tests.contract.site import Caller, open_site
from tests.contract.speaking import NOON, Speaker

NOW = datetime(2025, 5, 24, 12, tzinfo=UTC)
moments = st.integers(-7200, 0).map(lambda s: NOW + timedelta(seconds=s * 3))
maybe = st.none() | moments
kinds = st.sampled_from([kind for kind in DEFECT_KINDS if kind != "books_unbalanced"])
defects = st.builds(
    KnownDefects,
    kind=kinds,
    from_at=moments,
    detected_at=moments,
    missing=st.integers(0, 9),
    is_waived=st.booleans(),
)
unmatched = st.builds(
    lambda at, due_s, kind: Unmatched(at, at + timedelta(seconds=due_s), at, kind),
    moments,
    st.integers(300, 2000),
    kinds,
)
terms = st.builds(
    Terms,
    from_at=st.just(NOW - timedelta(days=1)),
    bucket_s=st.sampled_from([20, 600]),
    objective_s=st.sampled_from([900, 1200, 7200]),
    ends_at=st.none() | moments,
)
facts = st.builds(
    Facts,
    now=st.just(NOW),
    terms=st.none() | terms,
    heard_at=maybe,
    transport_s=st.sampled_from([0.0, -400.0, 299.0, 301.0]),
    declared_through=maybe,
    matched_through=maybe,
    anchored_through=maybe,
    backlog=st.integers(0, 2),
    closed_through=maybe,
    closed_moved_at=maybe,
    unmatched=st.none() | unmatched,
    defects=st.lists(defects, max_size=2).map(tuple),
    shrank_at=maybe,
    repair_until=st.none() | moments.map(lambda at: at + timedelta(hours=3)),
    repair_ended_at=maybe,
    unfolded_from=maybe,
    pending_from=maybe,
)
many = settings(max_examples=400, deadline=None)


@many
@given(facts)
def test_every_input_has_a_verdict_with_a_reason_unless_it_is_complete(told: Facts) -> None:
    verdict = judge_stream(told)
    assert (verdict.reason is None) == (verdict.state is State.COMPLETE)


@many
@given(facts, st.integers(1, 86_400))
def test_time_alone_never_makes_a_stream_complete_without_its_sources_word(
    told: Facts, passed_s: int
) -> None:
    """What becomes complete by waiting was declared and matched through its target before."""
    later = replace(told, now=told.now + timedelta(seconds=passed_s))
    if judge_stream(later).state is not State.COMPLETE:
        return
    assert told.terms is not None
    for through in (told.declared_through, told.matched_through, told.anchored_through):
        assert through is not None
    reached = complete_through(later)
    assert reached is not None


@many
@given(facts)
def test_without_new_evidence_complete_ends(told: Facts) -> None:
    if told.terms is None or told.terms.ends_at is not None:
        return
    much_later = replace(told, now=NOW + timedelta(days=2))
    assert judge_stream(much_later).state is not State.COMPLETE


@many
@given(facts, st.floats(0, 0.999))
def test_a_kept_verdict_holds_until_the_moment_it_says(told: Facts, share: float) -> None:
    until = holds_until(told)
    assert until > told.now
    within = told.now + (until - told.now) * share
    if within < until:
        assert judge_stream(replace(told, now=within)) == judge_stream(told)


@many
@given(facts, maybe)
def test_what_the_journal_says_only_lowers(told: Facts, at: datetime | None) -> None:
    calm = replace(told, unfolded_from=None, pending_from=None, is_unbalanced=False)
    base = judge_stream(calm).state.severity
    for name in ("unfolded_from", "pending_from"):
        assert judge_stream(replace(calm, **{name: at})).state.severity >= base  # type: ignore[arg-type]
    assert judge_stream(replace(calm, is_unbalanced=True)).state.severity >= base


@many
@given(facts)
def test_a_waiver_never_makes_a_stream_complete(told: Facts) -> None:
    waived = tuple(replace(defect, is_waived=True) for defect in told.defects)
    verdict = judge_stream(replace(told, defects=waived))
    if waived:
        assert verdict.state.severity >= State.INCOMPLETE.severity


# The same through the application: evidence in any order, answers kept between


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_says_what_is_read_anew(store: Store, seed: int) -> None:
    chance = Random(seed)
    configuration = Settings(_env_file=None, secret="s")
    with time_machine.travel(NOON, tick=False) as clock:
        caller = open_site(store, configuration).caller("acme")
        source = Speaker(caller, store, configuration)
        source.declares(NOON - timedelta(minutes=10))
        moment, since = NOON, NOON - timedelta(minutes=10)
        for number in range(40):
            step = chance.choice(
                ["wait", "wait", "beat", "held", "send", "declare", "fold", "late"]
            )
            if step == "wait":
                moment += timedelta(seconds=chance.choice([10, 60, 200, 900]))
                clock.move_to(moment)
            elif step == "beat":
                source.beats(moment)
            elif step == "held":
                source.beats(moment, pending=chance.choice([0, 3]))
            elif step in {"send", "late"}:
                back = timedelta(minutes=3 if step == "send" else 90)
                source.sends(f"e{number}", at=moment - back)
            elif step == "declare":
                through = _boundary(moment)
                if through > since:
                    source.declares(through, since=since, quest=chance.choice([0, 1]))
                    since = through
            else:
                fold_everywhere(store)
            _check_kept(store, caller, moment)


def _boundary(moment: datetime) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % 600)


def _check_kept(store: Store, caller: Caller, moment: datetime) -> None:
    names = ("quest", "ilt", "assignments")
    with snapshot(store) as connection:
        kept = read_freshness(connection, caller.environment_id, names, now=moment)
        lag = read_lag(connection, caller.environment_id, now=moment, streams=names)
    store.kept.clear()
    with snapshot(store) as connection:
        fresh = read_freshness(connection, caller.environment_id, names, now=moment)
    store.kept.clear()
    assert _told(kept) == _told(fresh)
    assert {s.stream: s.verdict for s in lag.streams} == {s.stream: s.verdict for s in kept.streams}
    with snapshot(store) as connection:
        # Keep something for the next step to be wrong about.
        read_freshness(connection, caller.environment_id, names, now=moment)


def _told(freshness: Freshness) -> list[Any]:
    return [
        (one.stream, one.verdict, one.standing.complete_through, one.standing.missing)
        for one in freshness.streams
    ]
