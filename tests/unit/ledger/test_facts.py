"""The lag of every stream, in one read: what exists without data, what waits, what it is called."""

from datetime import timedelta

import pytest

from app.intake.sources import add_source, seal_source
from app.learning.modules import FAMILY_STREAMS, MODULE_TYPE_NAMES, STREAM_NAMES
from app.ledger.facts import Lag, freshness_of, read_lag
from app.ledger.rows import rows_of_lag
from app.ledger.verdict import State
from app.store.engine import Store, snapshot, transaction
from app.store.sums import TallyDelta, add_tallies
from app.store.tables import Event
from tests.builders import NOON, an_environment, set_revision, write_rows


def lag_of(store: Store, environment_id: int) -> Lag:
    with snapshot(store) as connection:
        return read_lag(connection, environment_id, now=NOON)


def register(store: Store, environment_id: int, name: str = "lms") -> None:
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key=name)


def tally(store: Store, environment_id: int, *deltas: TallyDelta) -> None:
    with transaction(store) as connection:
        add_tallies(connection, environment_id, deltas)


def test_every_stream_is_there_without_any_source_or_event(store: Store) -> None:
    lag = lag_of(store, an_environment(store))
    assert tuple(stream.stream for stream in lag.streams) == STREAM_NAMES
    assert lag.sources == ()
    assert {stream.verdict.reason for stream in lag.streams} == {"no_contract"}
    assert {stream.processing_lag_s for stream in lag.streams} == {None}


def test_a_registered_source_owes_every_stream(store: Store) -> None:
    environment_id = an_environment(store)
    register(store, environment_id)
    lag = lag_of(store, environment_id)
    assert [(s.source, s.stream) for s in lag.sources] == [("lms", n) for n in STREAM_NAMES]
    assert {s.verdict.reason for s in (*lag.streams, *lag.sources)} == {"manifest_missing"}
    assert {s.kind for s in lag.streams} == {"module_type", *FAMILY_STREAMS}


def test_counts_are_rolled_up_over_sources(store: Store) -> None:
    environment_id = an_environment(store)
    register(store, environment_id, "a")
    register(store, environment_id, "b")
    later = NOON + timedelta(seconds=1)
    tally(
        store,
        environment_id,
        TallyDelta(1, "quest", received=3, accepted=2, applied=2, conflict=1, received_at=NOON),
        TallyDelta(2, "quest", received=2, accepted=1, rejected=1, received_at=later),
        TallyDelta(2, "course", received=1, duplicate=1, received_at=NOON),
    )
    streams = {stream.stream: stream for stream in lag_of(store, environment_id).streams}
    quest = streams["quest"]
    assert (quest.counts["received"], quest.counts["accepted"], quest.pending) == (5, 3, 1)
    assert (quest.quarantined, quest.last_received_at, len(quest.sources)) == (2, later, 2)
    assert streams["course"].counts["duplicate"] == 1
    assert streams["ilt"].counts["received"] == 0


def test_the_oldest_waiting_event_tells_the_processing_lag(store: Store) -> None:
    environment_id = an_environment(store)
    register(store, environment_id)
    waiting = [an_entry(1, minutes_ago=9, disposition=1), an_entry(2, 5), an_entry(3, 2)]
    write_rows(store, Event, waiting, environment_id=environment_id)
    delta = TallyDelta(1, "quest", received=3, accepted=3, applied=1, received_at=NOON)
    tally(store, environment_id, delta)
    streams = {stream.stream: stream for stream in lag_of(store, environment_id).streams}
    assert streams["quest"].processing_lag_s == 300.0
    assert streams["course"].processing_lag_s is None


def an_entry(seq: int, minutes_ago: int, disposition: int = 0) -> dict[str, object]:
    moment = NOON - timedelta(minutes=minutes_ago)
    return {
        "seq": seq,
        "source_id": 1,
        "event_id": f"e{seq}",
        "type": "progress.started",
        "stream": "quest",
        "entity_key": 'assignment:["u42","m7","",1]',
        "occurred_at": moment,
        "recorded_at": moment,
        "received_at": moment,
        "digest": b"x",
        "data": "{}",
        "disposition": disposition,
    }


def test_nothing_waits_when_all_is_settled(store: Store) -> None:
    environment_id = an_environment(store)
    register(store, environment_id)
    delta = TallyDelta(1, "quest", received=2, accepted=2, applied=1, dead=1, received_at=NOON)
    tally(store, environment_id, delta)
    quest = lag_of(store, environment_id).streams[STREAM_NAMES.index("quest")]
    assert (quest.pending, quest.processing_lag_s, quest.counts["dead"]) == (0, 0.0, 1)


def test_a_sealed_source_is_said_to_be_sealed(store: Store) -> None:
    environment_id = an_environment(store)
    register(store, environment_id)
    with transaction(store) as connection:
        seal_source(connection, environment_id, "lms")
    assert all(source.is_sealed for source in lag_of(store, environment_id).sources)


def test_a_neighbour_changes_nothing(store: Store) -> None:
    environment_id, neighbour = an_environment(store), an_environment(store, "other")
    register(store, neighbour)
    tally(store, neighbour, TallyDelta(1, "quest", received=1, accepted=1, received_at=NOON))
    set_revision(store, neighbour, 77)
    lag = lag_of(store, environment_id)
    assert (lag.environment_key, lag.revision, lag.sources) == ("acme", 0, ())


def test_freshness_counts_the_touched_streams_only(store: Store) -> None:
    lag = lag_of(store, an_environment(store))
    freshness = freshness_of(lag, {"quest", "people"})
    assert [stream.stream for stream in freshness.streams] == ["quest", "people"]
    assert freshness.verdict.state is State.UNKNOWN
    assert freshness.evaluated_at == NOON


def test_freshness_of_no_stream_is_unknown(store: Store) -> None:
    freshness = freshness_of(lag_of(store, an_environment(store)), frozenset())
    assert (freshness.verdict.state, freshness.verdict.reason) == (State.UNKNOWN, "no_stream")


@pytest.mark.parametrize("by_source", [False, True])
def test_rows_of_the_lag_say_what_the_lag_says(store: Store, by_source: bool) -> None:
    environment_id = an_environment(store)
    register(store, environment_id)
    delta = TallyDelta(1, "quest", received=4, accepted=3, applied=1, superseded=1, rejected=1)
    tally(store, environment_id, delta)
    rows = rows_of_lag(lag_of(store, environment_id), by_source=by_source)
    quest = next(row for row in rows if row["stream"] == "quest")
    told = {name: quest[name] for name in ("received", "applied", "pending", "quarantined")}
    assert told == {"received": 4, "applied": 2, "pending": 1, "quarantined": 1}
    assert quest["source"] == ("lms" if by_source else "")
    assert {row["stream"] for row in rows} == {*MODULE_TYPE_NAMES, *FAMILY_STREAMS}
