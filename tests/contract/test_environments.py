"""No environment is seen or changed by another: every route asked with the wrong key."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.base.config import Settings
from app.processing.drain import drain_all
from app.store.engine import Store
from tests.contract.site import Caller, an_event, open_site

APP = Path(__file__).resolve().parents[2] / "app"
MARK = "zebra"

# Every reason for a statement to cross environments; a new one is a decision to be made here.
CROSSINGS = {
    "environments are made and listed on the command line",
    "a key is looked up before its environment is known",
    "the schema belongs to all environments",
    "a setting of the connection",
    "a worker that starts frees what a dead one held",
    "taking turns is all that environments share",
    "each environment forgets by itself",
    "the sweep looks at each environment in turn",
    "pages are pulled for every environment, the longest due first",
    "digests are folded for each environment in turn",
    "what differs is asked about for every environment, the oldest first",
    "what is said is kept for each in turn",
}


@pytest.fixture
def world(store: Store, settings: Settings) -> tuple[Caller, Caller]:
    """Two environments; the first has a marked learner, module, source, key and batch."""
    site = open_site(store, settings)
    owner, other = site.caller("alpha"), site.caller("beta")
    owner.post("/v1/sources", json={"source": f"{MARK}-source"})
    owner.post("/v1/keys", json={"scopes": ["read"], "name": f"{MARK}-key"})
    events = [an_event(f"{MARK}-{n}", learner=f"{MARK}-u{n}", module=f"{MARK}-m") for n in range(3)]
    events.append({"id": f"{MARK}-bad"})
    assert owner.post("/v1/events", json=events).json()["accepted"] == 3
    drain_all(store, settings)
    return owner, other


def every_get(application: FastAPI) -> list[str]:
    """Every path that can be got, its parameters filled with what the first environment holds."""
    values = {
        "batch_id": "1",
        "rebuild_id": "1",
        "defect_id": "1",
        "token": "not-a-receipt",
        "name": "LearnerProgress",
        "key_id": "AAAAAAAAAAAAAAAA",
        "source": f"{MARK}-source",
        "stream": "quest",
    }
    paths = []
    for path, methods in application.openapi()["paths"].items():
        if "get" in methods and path != "/readyz":
            filled = re.sub(r"{(\w+)}", lambda found: values[found[1]], path)
            paths.append(filled.replace("reports/LearnerProgress", "reports/learner_progress"))
    sets = ("LearnerProgress", "Learners", "Modules", "Assignments", "Attempts", "IngestionLag")
    return [
        *paths,
        "/v1/reports/completion_summary",
        f"/v1/ingestion/lag?source={MARK}-source",
        *(f"/odata/v4/{name}" for name in sets),
        "/odata/v4/LearnerProgress(1)",
        "/odata/v4/Learners(1)",
        "/odata/v4/IngestionLagSources",
        "/odata/v4/LearnerProgress?$expand=learner,module",
    ]


def test_the_owner_sees_its_marks_and_nobody_else_does(world: tuple[Caller, Caller]) -> None:
    owner, other = world
    seen = 0
    for path in every_get(owner.client.app):  # type: ignore[arg-type]
        seen += MARK in owner.get(path).text
        response = other.get(path)
        assert response.status_code < 500, (path, response.text)
        # A refusal may repeat the word that the caller itself has said.
        said = f"{MARK}-source" if MARK in path else "\0"
        assert MARK not in response.text.replace(said, ""), path
    assert seen >= 10


@pytest.mark.parametrize("dataset", ["LearnerProgress", "Learners", "Modules", "Attempts"])
def test_a_question_is_answered_from_the_environment_of_its_key_alone(
    world: tuple[Caller, Caller], dataset: str
) -> None:
    owner, other = world
    asked: dict[str, Any] = {"dataset": dataset}
    everyone = {"dataset": dataset, "where": "module_key ne 'x' or true"}
    for question in (asked, everyone):
        response = other.post("/v1/query", json=question)
        assert response.status_code in {200, 400}
        assert MARK not in response.text
    grouped = {"dataset": "LearnerProgress", "select": [{"aggregate": "count", "as": "n"}]}
    assert owner.post("/v1/query", json=grouped).json()["rows"] == [{"n": 3}]
    assert other.post("/v1/query", json=grouped).json()["rows"] == [{"n": 0}]


def test_a_page_token_of_one_environment_opens_nothing_in_another(
    world: tuple[Caller, Caller],
) -> None:
    owner, other = world
    question = {"dataset": "LearnerProgress", "limit": 1}
    token = owner.post("/v1/query", json=question).json()["next"]
    assert token
    stolen = other.post("/v1/query", json={**question, "next": token})
    assert (stolen.status_code, stolen.json()["code"]) == (400, "query.token")


def test_what_another_environment_owns_is_404_and_unchanged(world: tuple[Caller, Caller]) -> None:
    owner, other = world
    assert other.get("/v1/batches/1").status_code == 404
    key_id = next(k["key_id"] for k in owner.get("/v1/keys").json()["items"] if k["name"])
    assert other.ask("DELETE", f"/v1/keys/{key_id}").status_code == 404
    revoked = {k["key_id"]: k["revoked_at"] for k in owner.get("/v1/keys").json()["items"]}
    assert revoked[key_id] is None


def test_the_same_event_id_in_two_environments_is_two_events(world: tuple[Caller, Caller]) -> None:
    _, other = world
    event = an_event(f"{MARK}-0", learner="u9")
    assert other.post("/v1/events", json=event).json()["accepted"] == 1


def test_an_event_of_a_source_of_another_environment_is_rejected(
    world: tuple[Caller, Caller],
) -> None:
    _, other = world
    event = {**an_event("x"), "source": f"{MARK}-source"}
    response = other.post("/v1/events", json=[event])
    assert response.json()["items"][0]["reason"] == "unknown_source"


def test_metrics_show_an_environment_to_its_own_operator_only(
    world: tuple[Caller, Caller],
) -> None:
    owner, other = world
    label = f'environment="{owner.environment_id}"'
    assert label in owner.get("/metrics").text
    assert label not in other.get("/metrics").text
    assert label not in owner.client.get("/metrics").text


def test_every_crossing_of_environments_is_listed() -> None:
    """A reason is written where the statement is; this list and the code agree."""
    pattern = re.compile(r'(?:across_environments"?\s*[:=]|CROSSING_OPTION\s*:)\s*"([^"]+)"')
    found: Counter[str] = Counter()
    for path in APP.rglob("*.py"):
        found.update(pattern.findall(path.read_text("utf-8")))
    assert set(found) - {"reason"} == CROSSINGS
