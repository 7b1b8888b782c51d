"""Rebuilds over HTTP and on the command line: asked for, watched, refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.base.config import Settings
from app.cli.commands import main
from app.processing.drain import drain_all
from app.processing.rebuild_shadow import open_shadow
from app.store.engine import Store, open_store, transaction
from app.store.migrate import migrate_store
from app.store.tables import Progress
from tests.contract.site import Caller, an_event, open_site
from tests.projections import a_sending_environment, corrupt, read_projections, send


@pytest.fixture
def operator(store: Store, settings: Settings) -> Caller:
    """A caller whose environment has one assignment."""
    caller = open_site(store, settings).caller("alpha")
    assert caller.post("/v1/events", json=[an_event("e1")]).json()["accepted"] == 1
    drain_all(store, settings)
    return caller


def test_a_rebuild_is_accepted_worked_off_and_told(
    store: Store, settings: Settings, operator: Caller
) -> None:
    rows = read_projections(store, operator.environment_id)
    corrupt(store, operator.environment_id, Progress, points=77.0)

    asked = operator.post("/v1/rebuilds", json={})
    assert asked.status_code == 202
    assert asked.headers["location"] == "/v1/rebuilds/1"
    assert (asked.json()["state"], asked.json()["scope"]) == ("waiting", {})
    again = operator.post("/v1/rebuilds", json={"stream": "quest"})
    assert (again.status_code, again.json()["code"]) == (409, "rebuild.running")

    drain_all(store, settings)

    told = operator.get("/v1/rebuilds/1").json()
    assert (told["state"], told["rows_changed"], told["error"]) == ("done", 1, None)
    assert told["entities_folded"] == told["entities_total"] == 1
    assert read_projections(store, operator.environment_id) == rows


def test_rebuilds_are_listed_the_newest_first_in_pages(operator: Caller) -> None:
    scopes = [{"learner": name, "from": "2020-01-01T00:00:00Z"} for name in ("a", "b", "c")]
    for scope in scopes:
        assert operator.post("/v1/rebuilds", json=scope).status_code == 202
    first = operator.get("/v1/rebuilds?limit=2").json()
    assert [item["id"] for item in first["items"]] == [3, 2]
    assert first["items"][0]["scope"] == scopes[2]
    rest = operator.get(first["next"]).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([1], None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"stream": "quests"}, 400),
        ({"from": "2025-01-02T00:00:00Z", "to": "2025-01-01T00:00:00Z"}, 400),
        ({"from": "yesterday"}, 422),
        ({"environment": "beta"}, 422),
        ({"learner": ""}, 400),
        ({"module": "m\u0000"}, 400),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(
    operator: Caller, body: dict[str, Any], status: int
) -> None:
    refused = operator.post("/v1/rebuilds", json=body)
    assert refused.status_code == status, refused.text
    assert operator.get("/v1/rebuilds").json()["items"] == []


def test_a_rebuild_needs_the_scope_operate_and_belongs_to_its_environment(
    store: Store, settings: Settings, operator: Caller
) -> None:
    site = open_site(store, settings)
    reader = site.key_of(operator.environment_id, "read", "admin")
    assert reader.post("/v1/rebuilds", json={}).status_code == 403
    assert operator.post("/v1/rebuilds", json={}).status_code == 202
    other = site.caller("beta")
    assert other.get("/v1/rebuilds").json()["items"] == []
    for name in ("1", "x", "9" * 30):
        assert other.get(f"/v1/rebuilds/{name}").status_code == 404


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Store:
    """A migrated database with one folded environment, which the commands use too."""
    url = f"sqlite:///{tmp_path}/fullcount.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLCOUNT_DATABASE_URL", url)
    opened = open_store(url)
    migrate_store(opened)
    number = a_sending_environment(opened, "acme")
    work = {"learner": "u1", "module": "m1", "module_type": "quest"}
    send(opened, settings, number, ("progress.started", work))
    return opened


def run(capsys: pytest.CaptureFixture[str], line: str, *, code: int = 0) -> str:
    """What a command prints, given the exit code it must have."""
    with pytest.raises(SystemExit) as left:
        main(line.split())
    told = capsys.readouterr()
    assert (left.value.code or 0) == code, told.out + told.err
    return told.out + told.err


def test_the_command_asks_for_a_rebuild_or_works_it_off(
    acme: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    corrupt(acme, 1, Progress, points=77.0)
    window = "--from 2020-01-01T00:00:00Z --to 2100-01-01T00:00:00Z"
    told = json.loads(run(capsys, f"rebuild -e acme --learner u1 {window} --wait --json"))
    assert (told["state"], told["rows_changed"]) == ("done", 1)
    assert "a worker does it" in run(capsys, "rebuild -e acme --learner u2")
    assert "has not ended" in run(capsys, "rebuild -e acme", code=1)
    assert "RFC 3339" in run(capsys, "rebuild -e acme --from soon", code=2)
    assert "no environment" in run(capsys, "rebuild -e ~1", code=1)


def test_the_shadow_of_a_rebuild_is_no_environment_for_anybody(
    acme: Store, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction(acme) as connection:
        open_shadow(connection, 1)
    listed = json.loads(run(capsys, "environments list --json"))["items"]
    assert [item["environment"] for item in listed] == ["acme"]
    assert "no environment" in run(capsys, "books -e ~1", code=1)
    drain_all(acme, settings)
