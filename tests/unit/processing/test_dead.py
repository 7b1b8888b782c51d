"""Dead letters: they hold nothing up, and come back or are waived, books and audit with them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import NothingDead
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.ledger.books import read_books, recount_books, verify_tallies
from app.processing import drain, project
from app.processing.dead import DeadScope, list_dead, redrive_dead, waive_dead
from app.processing.drain import drain_all
from app.processing.fold import fold_entity
from app.processing.sweep import sweep_all
from app.store.audit import list_acts
from app.store.engine import Store, snapshot, transaction
from app.store.tables import Event, Progress
from app.store.tables.columns import table_of
from app.store.tables.journal import DISPOSITIONS
from tests.builders import an_environment, an_event

ENTITY = 'assignment:["u42","m7","",1]'
Poison = Callable[[str], None]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Let an entity that holds events of this id die at its first try; of none when it is empty."""
    monkeypatch.setattr(project, "MAX_ATTEMPTS", 1)

    def spoil(word: str) -> None:
        def fold_or_fail(entity_key: str, entries: Sequence[Any]) -> Any:
            if word and any(entry.event_id.startswith(word) for entry in entries):
                raise ValueError("no such luck")
            return fold_entity(entity_key, entries)

        monkeypatch.setattr(drain, "fold_entity", fold_or_fail)
        # Going on from a stored fold is an optimisation; here every fold is a whole one.
        monkeypatch.setattr(drain, "extend_entity", lambda _before, _entries: None)

    return spoil


@pytest.fixture
def environment_id(store: Store, settings: Settings) -> int:
    """An environment in which one assignment went well, so that what fails is to blame itself."""
    return a_world(store, settings, "acme")


def a_world(store: Store, settings: Settings, name: str) -> int:
    environment_id = an_environment(store, name)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
    send(store, settings, environment_id, advance(1, learner="good"))
    drain_all(store, settings)
    return environment_id


def advance(number: int, *, event_id: str = "", learner: str = "u42", percent: int = 50) -> Any:
    data = {"learner": learner, "module": "m7", "module_type": "quest", "percent": percent}
    return an_event(number, id=event_id or f"e{number}", data=data)


def send(store: Store, settings: Settings, environment_id: int, *events: Any) -> None:
    accepted = accept_items(store, settings, environment_id=environment_id, items=events).accepted
    assert accepted == len(events)


def fates(store: Store, environment_id: int) -> dict[str, str]:
    """What became of each event; the books agree with the journal all the time."""
    event = table_of(Event)
    with snapshot(store) as connection:
        assert recount_books(connection, environment_id) == []
        assert verify_tallies(connection, environment_id) == []
        rows = connection.execute(
            select(event.c.event_id, event.c.disposition).where(
                event.c.environment_id == environment_id
            )
        )
        return {event_id: DISPOSITIONS[number] for event_id, number in rows}


def percent_of(store: Store, environment_id: int, learner: str = "u42") -> float | None:
    progress = table_of(Progress)
    with snapshot(store) as connection:
        return connection.execute(
            select(progress.c.percent_complete).where(
                progress.c.environment_id == environment_id, progress.c.learner_key == learner
            )
        ).scalar()


def redrive(store: Store, environment_id: int, scope: DeadScope) -> tuple[int, int]:
    with transaction(store) as connection:
        done = redrive_dead(connection, environment_id, scope, actor="k (Ops)", now=now())
    return done.event_count, done.entity_count


def waive(store: Store, environment_id: int, scope: DeadScope) -> tuple[int, int]:
    with transaction(store) as connection:
        done = waive_dead(
            connection, environment_id, scope, actor="k", reason="a test learner", now=now()
        )
    return done.event_count, done.entity_count


def dead(store: Store, environment_id: int, *, limit: int = 10, after: str = "") -> list[Any]:
    with snapshot(store) as connection:
        return list_dead(connection, environment_id, limit=limit, after=after)


def test_a_later_event_of_a_dead_entity_is_folded_without_the_dead_ones(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    send(store, settings, environment_id, advance(2, event_id="bad1", percent=90))
    drain_all(store, settings)
    send(store, settings, environment_id, advance(3, percent=60))
    drain_all(store, settings)
    assert fates(store, environment_id) == {"e1": "applied", "bad1": "dead", "e3": "applied"}
    assert percent_of(store, environment_id) == 60
    (entity,) = dead(store, environment_id)
    assert (entity["entity"], entity["events"], entity["attempts"]) == (ENTITY, 1, 1)
    assert entity["error"] == "ValueError: no such luck"
    assert entity["since"] <= now()
    (sample,) = entity["sample"]
    assert (sample["seq"], sample["id"], sample["source"]) == (2, "bad1", "lms")


def test_a_redriven_entity_folds_all_that_counts_whatever_came_meanwhile(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    send(store, settings, environment_id, advance(2, event_id="bad1", percent=90))
    drain_all(store, settings)
    send(store, settings, environment_id, advance(3, percent=60))
    drain_all(store, settings)
    poison("")
    assert redrive(store, environment_id, DeadScope(entity_key=ENTITY)) == (1, 1)
    assert fates(store, environment_id)["bad1"] == "pending"
    assert sweep_all(store) == 0
    drain_all(store, settings)
    told = fates(store, environment_id)
    assert set(told.values()) <= {"applied", "superseded"}
    assert dead(store, environment_id) == []
    other = a_world(store, settings, "other")
    send(store, settings, other, advance(2, event_id="bad1", percent=90), advance(3, percent=60))
    drain_all(store, settings)
    assert fates(store, other) == told
    assert percent_of(store, other) == percent_of(store, environment_id)


def test_what_is_still_poison_dies_again_and_its_tries_add_up(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    send(store, settings, environment_id, advance(2, event_id="bad1"))
    drain_all(store, settings)
    redrive(store, environment_id, DeadScope())
    drain_all(store, settings)
    assert fates(store, environment_id)["bad1"] == "dead"
    assert [entity["attempts"] for entity in dead(store, environment_id)] == [2]


def test_waived_events_stay_out_and_the_books_say_so(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    send(store, settings, environment_id, advance(2, event_id="bad1", percent=90))
    drain_all(store, settings)
    assert waive(store, environment_id, DeadScope(seqs=(2, 999))) == (1, 1)
    poison("")
    send(store, settings, environment_id, advance(3, percent=60))
    drain_all(store, settings)
    assert fates(store, environment_id) == {"e1": "applied", "bad1": "waived", "e3": "applied"}
    assert percent_of(store, environment_id) == 60
    with snapshot(store) as connection:
        books = read_books(connection, environment_id)
        act, _ = list_acts(connection, environment_id, limit=10)
    assert (books.total("waived"), books.total("dead"), books.is_balanced) == (1, 0, True)
    assert (act["actor"], act["action"], act["target"]) == ("k", "dead.waived", "seqs 2, 999")
    assert act["details"] == {"events": 1, "entities": 1, "seqs": [2], "reason": "a test learner"}


def test_scopes_choose_what_they_name_and_nothing_else(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    person = an_event(4, id="bad3", type="learner.upserted", data={"learner": "u9"})
    people = [an_event(5, id="e5", type="learner.upserted", data={"learner": "u5"}), person]
    events = [advance(n, event_id=f"bad{n}", learner=f"u{n}") for n in (1, 2)]
    send(store, settings, environment_id, *events, *people)
    drain_all(store, settings)
    assert len(dead(store, environment_id)) == 3
    assert redrive(store, environment_id, DeadScope(stream="people")) == (1, 1)
    assert redrive(store, environment_id, DeadScope(stream="video")) == (0, 0)
    assert redrive(store, environment_id, DeadScope(seqs=(2,))) == (1, 1)
    assert redrive(store, environment_id, DeadScope()) == (1, 1)
    with snapshot(store) as connection:
        targets = [act["target"] for act in list_acts(connection, environment_id, limit=10)]
    assert targets == ["all", "seqs 2", "stream people", "lms"]
    for scope in (DeadScope(entity_key=ENTITY), DeadScope(seqs=(1,))):
        with pytest.raises(NothingDead):
            redrive(store, environment_id, scope)


def test_a_neighbours_dead_are_neither_seen_nor_moved(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    other = a_world(store, settings, "other")
    poison("bad")
    for number in (environment_id, other):
        send(store, settings, number, advance(2, event_id="bad1"))
    drain_all(store, settings)
    assert redrive(store, other, DeadScope()) == (1, 1)
    assert fates(store, environment_id)["bad1"] == "dead"
    with snapshot(store) as connection:
        acts = list_acts(connection, environment_id, limit=10)
    assert [act["action"] for act in acts] == ["source.added"]


def test_the_list_pages_by_entity(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    events = [advance(n, event_id=f"bad{n}", learner=f"u{n}") for n in range(10, 15)]
    send(store, settings, environment_id, *events)
    drain_all(store, settings)
    found: list[str] = []
    while page := dead(store, environment_id, limit=2, after=found[-1] if found else ""):
        found += [entity["entity"] for entity in page]
    assert found == [f'assignment:["u{n}","m7","",1]' for n in range(10, 15)]


def test_who_is_at_work_on_an_entity_while_it_is_redriven_changes_nothing(
    store: Store, settings: Settings, environment_id: int, poison: Poison
) -> None:
    poison("bad")
    send(store, settings, environment_id, advance(2, event_id="bad1", percent=90))
    drain_all(store, settings)
    send(store, settings, environment_id, advance(3, percent=60))
    poison("")
    claimed = project.project_claim

    def redrive_first(connection: Any, claim: Any, **given: Any) -> Any:
        redrive_dead(connection, environment_id, DeadScope(), actor="k", now=now())
        return claimed(connection, claim, **given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(drain, "project_claim", redrive_first)
        drained = drain.drain_once(store, settings)
    assert drained is not None
    assert drained.entity_count == 0
    assert fates(store, environment_id)["e3"] == "pending"
    drain_all(store, settings)
    assert "pending" not in fates(store, environment_id).values()
