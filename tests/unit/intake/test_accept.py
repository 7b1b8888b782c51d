"""The one door for events: every fate, receipts that balance, environments that do not meet."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from app.base.config import Settings
from app.base.errors import TooMuchPending, UnknownName
from app.base.facts import BatchAccepted, Fact
from app.base.observe import listening
from app.cli.ingest import read_origin
from app.intake.accept import accept_body, accept_items
from app.intake.decode import LINES_TYPE, SINGLE_TYPE, Broken
from app.intake.receipts import Receipt, receipt_of
from app.intake.sources import add_source, seal_source
from app.ledger.books import read_books, recount_books
from app.processing.drain import drain_all
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event, Quarantine, Work
from app.store.tables.columns import table_of
from tests.builders import an_environment, an_event


@pytest.fixture
def environment_id(store: Store) -> int:
    """An environment with the source `lms`."""
    return with_source(store, "acme")


def with_source(store: Store, name: str, **said: Any) -> int:
    environment_id = an_environment(store, name)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms", **said)
    return environment_id


def accept(store: Store, settings: Settings, environment_id: int, *items: Any) -> Receipt:
    return accept_items(store, settings, environment_id=environment_id, items=list(items))


def outcomes(receipt: Receipt) -> list[str]:
    return [fate.outcome for fate in receipt.items]


def rows_of(store: Store, model: Any, environment_id: int) -> list[Any]:
    table = table_of(model)
    with snapshot(store) as connection:
        found = select(table).where(table.c.environment_id == environment_id)
        return list(connection.execute(found.order_by(*table.primary_key.columns)))


def faults(store: Store, environment_id: int) -> list[str]:
    with snapshot(store) as connection:
        return recount_books(connection, environment_id)


def test_each_item_learns_its_fate_and_the_neighbours_are_kept(
    store: Store, settings: Settings, environment_id: int
) -> None:
    changed = an_event(1, data={**an_event()["data"], "percent": 60})
    unread = Broken("no value at line 1 column 3", '{"')
    receipt = accept(
        store, settings, environment_id,
        an_event(1), unread, an_event(1), changed, an_event(2, type="x.y"), an_event(3),
    )  # fmt: skip
    assert outcomes(receipt) == [
        "accepted", "rejected", "duplicate", "conflict", "rejected", "accepted",
    ]  # fmt: skip
    assert [fate.seq for fate in receipt.items] == [1, None, 1, 1, None, 2]
    assert [fate.reason for fate in receipt.items] == [
        None, "bad_json", None, "other_content", "unknown_type", None,
    ]  # fmt: skip
    assert [row.event_id for row in rows_of(store, Event, environment_id)] == ["e1", "e3"]
    assert faults(store, environment_id) == []


def test_a_repeated_delivery_changes_nothing_and_points_at_the_first(
    store: Store, settings: Settings, environment_id: int
) -> None:
    events = [an_event(n) for n in range(1, 6)]
    first = accept(store, settings, environment_id, *events)
    again = accept(store, settings, environment_id, *reversed(events))
    assert (again.accepted, again.duplicate) == (0, first.accepted)
    assert [fate.seq for fate in again.items] == [5, 4, 3, 2, 1]
    assert len(rows_of(store, Event, environment_id)) == 5
    assert faults(store, environment_id) == []


def test_a_conflict_keeps_the_first_and_shelves_the_second(
    store: Store, settings: Settings, environment_id: int
) -> None:
    accept(store, settings, environment_id, an_event(1))
    other = an_event(1, data={**an_event()["data"], "percent": 60})
    receipt = accept(store, settings, environment_id, other)
    (shelved,) = rows_of(store, Quarantine, environment_id)
    (kept,) = rows_of(store, Event, environment_id)
    assert outcomes(receipt) == ["conflict"]
    assert (shelved.outcome, shelved.winner_seq, shelved.event_id) == ("conflict", 1, "e1")
    assert '"percent":60' in shelved.item
    assert '"percent":50' in kept.data


def test_the_same_ids_in_two_environments_never_meet(store: Store, settings: Settings) -> None:
    one, two = with_source(store, "one"), with_source(store, "two")
    assert accept(store, settings, one, an_event(1)).accepted == 1
    other = an_event(1, data={**an_event()["data"], "percent": 60})
    assert accept(store, settings, two, other).accepted == 1
    assert [row.seq for row in rows_of(store, Event, two)] == [1]
    assert accept(store, settings, one, an_event(1)).duplicate == 1


def test_only_registered_unsealed_sources_are_heard(
    store: Store, settings: Settings, environment_id: int
) -> None:
    receipt = accept(store, settings, environment_id, an_event(1, source="nobody"))
    assert receipt.items[0].reason == "unknown_source"
    with transaction(store) as connection:
        seal_source(connection, environment_id, "lms")
    receipt = accept(store, settings, environment_id, an_event(1))
    assert receipt.items[0].reason == "source_sealed"
    assert faults(store, environment_id) == []


def test_without_recordedtime_the_contract_of_the_source_decides(
    store: Store, settings: Settings, environment_id: int
) -> None:
    event = an_event(1, recordedtime=None)
    assert accept(store, settings, environment_id, event).items[0].reason == "no_recordedtime"
    lenient = with_source(store, "lenient", takes_occurred_at=True)
    assert accept(store, settings, lenient, event).accepted == 1
    (row,) = rows_of(store, Event, lenient)
    assert row.recorded_at == row.occurred_at


def test_journal_numbers_have_no_gaps_and_work_points_at_the_newest(
    store: Store, settings: Settings, environment_id: int
) -> None:
    accept(store, settings, environment_id, an_event(1), an_event(2, type="x.y"))
    accept(store, settings, environment_id, an_event(1), an_event(3), an_event(4))
    assert [row.seq for row in rows_of(store, Event, environment_id)] == [1, 2, 3]
    (work,) = rows_of(store, Work, environment_id)
    assert (work.dirty_seq, work.done_seq) == (3, 0)


def test_the_receipt_says_later_what_became_of_each_event(
    store: Store, settings: Settings, environment_id: int
) -> None:
    terms = {"learner": "u1", "module": "m1", "due_at": "2025-06-01T00:00:00Z"}
    made = an_event(1, type="assignment.made", data=terms)
    later = {**terms, "due_at": "2025-07-01T00:00:00Z"}
    changed = an_event(2, type="assignment.changed", data=later)
    receipt = accept(store, settings, environment_id, made, changed, made, an_event(3, id=None))
    drain_all(store, settings)
    with snapshot(store) as connection:
        told = receipt_of(connection, environment_id, receipt.batch_id)
        with pytest.raises(UnknownName):
            receipt_of(connection, environment_id, receipt.batch_id + 1)
    assert [item["outcome"] for item in told["items"]] == [
        "accepted", "accepted", "duplicate", "rejected",
    ]  # fmt: skip
    assert [item.get("disposition") for item in told["items"]] == [
        "applied", "applied", "applied", None,
    ]  # fmt: skip
    assert told["items"][1]["id"] == "e2"
    json.dumps(told)


def test_a_single_event_by_its_bytes_is_told_from_a_list(
    store: Store, settings: Settings, environment_id: int
) -> None:
    def send(kind: str, body: bytes) -> Receipt:
        return accept_body(
            store,
            settings,
            environment_id=environment_id,
            content_type=kind,
            content_encoding=None,
            body=body,
        )

    assert send(SINGLE_TYPE, json.dumps(an_event(1)).encode()).is_single
    lines = send(LINES_TYPE, b"\n".join(json.dumps(an_event(n)).encode() for n in (1, 2)))
    assert (lines.is_single, lines.duplicate, lines.accepted) == (False, 1, 1)


def test_over_the_cap_nothing_is_stored_and_the_neighbour_notices_nothing(
    store: Store, settings: Settings, environment_id: int
) -> None:
    small = settings.model_copy(update={"limit_pending_events": 3})
    accept(store, small, environment_id, an_event(1), an_event(2))
    with pytest.raises(TooMuchPending) as caught:
        accept(store, small, environment_id, an_event(3), an_event(4))
    assert caught.value.retry_after_s
    assert len(rows_of(store, Event, environment_id)) == 2
    assert accept(store, small, with_source(store, "other"), an_event(1)).accepted == 1
    drain_all(store, small)
    assert accept(store, small, environment_id, an_event(3), an_event(4)).accepted == 2


def test_a_crash_before_the_commit_leaves_nothing(
    store: Store, settings: Settings, environment_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.intake.accept.write_receipt", crash)
    with pytest.raises(KeyboardInterrupt):
        accept(store, settings, environment_id, an_event(1))
    monkeypatch.undo()
    assert rows_of(store, Event, environment_id) == rows_of(store, Work, environment_id) == []
    assert accept(store, settings, environment_id, an_event(1)).accepted == 1
    with snapshot(store) as connection:
        assert read_books(connection, environment_id).is_balanced


def test_fields_that_no_contract_knows_are_kept_and_counted(
    store: Store, settings: Settings, environment_id: int
) -> None:
    heard: list[Fact] = []
    event = an_event(1)
    item = {**event, "vendorflag": "x", "data": {**event["data"], "mood": "fine", "shoe": 43}}
    with listening(heard.append):
        accept(store, settings, environment_id, item, item)
    (fact,) = [fact for fact in heard if isinstance(fact, BatchAccepted)]
    assert (fact.accepted_count, fact.duplicate_count, fact.unknown_field_count) == (1, 1, 3)
    (row,) = rows_of(store, Event, environment_id)
    assert json.loads(row.data) == item["data"]
    assert json.loads(row.extras) == {"vendorflag": "x"}


def test_the_position_of_a_file_is_kept_with_what_was_read_from_it(
    store: Store, settings: Settings, environment_id: int
) -> None:
    for position in (100, 250):
        accept_items(
            store,
            settings,
            environment_id=environment_id,
            items=[an_event(position)],
            origin="file:a",
            origin_position=position,
        )
    with snapshot(store) as connection:
        assert read_origin(connection, environment_id, "file:a") == 250
        assert read_origin(connection, environment_id, "file:b") == 0


def test_what_is_shelved_is_cut_to_the_size_of_an_event(
    store: Store, settings: Settings, environment_id: int
) -> None:
    accept(store, settings, environment_id, Broken("too long", "ü\x00" * 100_000))
    (shelved,) = rows_of(store, Quarantine, environment_id)
    assert len(shelved.item.encode()) <= settings.limit_event_bytes
    assert "\x00" not in shelved.item
