"""`fullcount dead`: the command line lists, redrives and waives, and says what it did."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.access.environments import add_environment
from app.base.config import Settings
from app.cli.commands import main
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.store.audit import list_acts
from app.store.engine import Store, close_store, open_store, snapshot, transaction
from app.store.migrate import migrate_store
from app.store.tables import Event, Tally
from app.store.tables.columns import table_of
from tests.builders import an_event


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> str:
    """The address of a database with two dead events of one entity in `acme`."""
    url = f"sqlite:///{tmp_path}/cli.db"
    monkeypatch.setenv("FULLCOUNT_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    store = open_store(url)
    migrate_store(store)
    with transaction(store) as connection:
        add_environment(connection, environment_key="acme")
        add_source(connection, 1, source_key="lms")
    accept_items(store, settings, environment_id=1, items=[an_event(1), an_event(2)])
    bury_all(store)
    close_store(store)
    return url


def bury_all(store: Store) -> None:
    """Let every event be dead, in the journal and in the books."""
    event, tally = table_of(Event), table_of(Tally)
    with transaction(store) as connection:
        connection.execute(
            update(event).where(event.c.environment_id == 1).values(disposition=3, error="bad luck")
        )
        connection.execute(update(tally).where(tally.c.environment_id == 1).values(dead=2))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dead", *words])
    code = ended.value.code
    told = capsys.readouterr()
    return (code if isinstance(code, int) else 1, told.out + told.err)


def acts(url: str) -> list[dict[str, Any]]:
    store = open_store(url)
    with snapshot(store) as connection:
        found = [
            act for act in list_acts(connection, 1, limit=10) if act["action"] != "source.added"
        ]
    close_store(store)
    return found


def test_dead_events_are_listed(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "list", "-e", "acme")
    assert code == 0
    assert "bad luck" in told
    assert "1 entity" in told
    _, told = run(capsys, "list", "-e", "acme", "--json")
    (entity,) = json.loads(told)["items"]
    assert (entity["events"], entity["attempts"], entity["since"]) == (2, None, None)
    assert acts(database) == []


def test_dead_events_are_redriven_and_waived(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(capsys, "redrive", "-e", "acme", "--seq", "1", "--by", "Ops")
    assert (code, told) == (0, "Redrove 1 event of 1 entity in acme (seqs 1).\n")
    words = ("waive", "-e", "acme", "--all", "--reason", "a test learner", "--json")
    code, told = run(capsys, *words)
    assert (code, json.loads(told)) == (0, {"events": 1, "entities": 1, "audit_id": 3})
    assert [(act["actor"], act["action"]) for act in acts(database)] == [
        ("cli", "dead.waived"),
        ("cli (Ops)", "dead.redriven"),
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("redrive", "-e", "acme"), 2),
        (("redrive", "-e", "acme", "--all", "--seq", "1"), 2),
        (("waive", "-e", "acme", "--all"), 2),
        (("waive", "-e", "acme", "--all", "--reason", " "), 2),
        (("redrive", "-e", "acme", "--entity", "nothing"), 1),
        (("redrive", "-e", "nowhere", "--all"), 1),
    ],
)
def test_a_wrong_call_changes_nothing(
    database: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int
) -> None:
    assert run(capsys, *words)[0] == code
    assert acts(database) == []
