"""Questions that end at a moment: one that is named, or that up to which all is complete."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from app.base.config import Settings
from app.store.engine import Store
from tests.contract.site import Caller, open_site
from tests.contract.speaking import NOON, Speaker, spell
from tests.world import read_told

QUESTS = "/v1/reports/learner_progress?module_type=quest"
FEED = "/odata/v4/LearnerProgress?$filter=module_type eq 'quest'"


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def caller(clock: Any, store: Store, settings: Settings) -> Caller:
    return open_site(store, settings).caller("acme")


@pytest.fixture
def source(caller: Caller, store: Store, settings: Settings) -> Speaker:
    """Everything complete at noon: two quests, recorded at eleven."""
    speaker = Speaker(caller, store, settings)
    speaker.sends("q1", "q2", at=NOON - timedelta(hours=1))
    speaker.declares(NOON - timedelta(minutes=10), quest=2)
    speaker.beats(NOON)
    return speaker


def send_behind(clock: Any, source: Speaker) -> None:
    """At 12:30 all is complete up to 12:20; a third quest is recorded behind that."""
    clock.move_to(NOON + timedelta(minutes=30))
    source.beats(NOON + timedelta(minutes=30))
    source.sends("q3", at=NOON + timedelta(minutes=29))
    source.declares(NOON + timedelta(minutes=20), since=NOON - timedelta(minutes=10))


def test_until_complete_leaves_out_what_changed_behind_the_watermark(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    send_behind(clock, source)
    assert len(caller.get(QUESTS).json()["rows"]) == 3
    # Before they are transformed, too: groups are of rows that are complete.
    groups = (
        "/odata/v4/LearnerProgress?$apply=filter(module_type eq 'quest')/groupby((learner_key))"
    )
    for path in (QUESTS, FEED, groups):
        clipped = caller.get(f"{path}&until=complete")
        assert clipped.status_code == 200, clipped.text
        told = clipped.json()
        assert len(told.get("rows", told.get("value"))) == 2
        answered = read_told(clipped)
        assert (answered.said, answered.parameters["clipped"]) == ("complete", True)
        assert answered.through == NOON + timedelta(minutes=20)


def test_until_complete_leaves_out_rows_behind_others_too(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    send_behind(clock, source)
    modules = "/odata/v4/Modules?$filter=module_key eq 'm7'"
    for asked, kept in (
        ("$expand=progress($select=learner_key)", ["q1", "q2"]),
        ("$expand=progress($select=learner_key;$filter=score eq null)", ["q1", "q2"]),
        ("$expand=progress($select=learner_key;$count=true;$top=1)", ["q1"]),
    ):
        (row,) = caller.get(f"{modules}&{asked}&until=complete").json()["value"]
        assert [one["learner_key"] for one in row["progress"]] == kept
        assert row.get("progress@odata.count", 2) == 2
    for condition, whole, clipped in (
        ("progress/$count eq 3", 1, 0),
        ("progress/$count($filter=learner_key ne 'q1') eq 1", 0, 1),
        ("progress/any(p:p/learner_key eq 'q3')", 1, 0),
        ("progress/all(p:p/learner_key ne 'q3')", 0, 1),
    ):
        for option, count in (("", whole), ("&until=complete", clipped)):
            found = caller.get(f"{modules} and {condition}{option}")
            assert (found.status_code, len(found.json()["value"])) == (200, count), condition
    counted = caller.get(f"{modules}&$compute=progress/$count as n&$select=n&until=complete")
    assert [row["n"] for row in counted.json()["value"]] == [2]


def test_an_entity_that_changed_behind_the_watermark_is_not_said_to_be_gone(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    send_behind(clock, source)
    for path in ("LearnerProgress(3)", "LearnerProgress(3)/status", "LearnerProgress(3)/learner"):
        assert caller.get(f"/odata/v4/{path}").status_code == 200
        told = caller.get(f"/odata/v4/{path}?until=complete")
        assert (told.status_code, told.headers["retry-after"]) == (503, "120"), told.text
        assert read_told(told).said == "complete"
        assert "came or changed behind what is complete" in told.text
    assert caller.get("/odata/v4/LearnerProgress(1)?until=complete").status_code == 200
    assert caller.get("/odata/v4/LearnerProgress(4)?until=complete").status_code == 404


def test_rows_that_are_judged_are_judged_for_the_moment_of_their_answer(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    """Of noon all is known; of half past one nobody has told anything yet."""
    clock.move_to(NOON + timedelta(minutes=90))
    source.beats(NOON + timedelta(minutes=90))
    asked = f"as_of={spell(NOON - timedelta(minutes=10))}"
    for moment, said in (("", "unknown"), (asked, "complete")):
        for path in ("IngestionLag", "IngestionLagSources", "Freshness"):
            response = caller.get(f"/odata/v4/{path}?{moment}")
            told = response.json()
            assert read_told(response).said.partition(" ")[0] == told["@fullcount.verdict"] == said
            assert {row["verdict"] for row in told.get("value", [told])} == {said}
        report = caller.get(f"/v1/reports/data_completeness?{moment}")
        assert read_told(report).said.partition(" ")[0] == said
        assert {row["verdict"] for row in report.json()["rows"]} == {said}
        rows = caller.get(f"{FEED}&$top=1&$expand=lag($select=verdict)&{moment}").json()
        assert rows["value"][0]["lag"]["verdict"] == rows["@fullcount.verdict"] == said
    lag = caller.get(f"/v1/ingestion/lag?at={spell(NOON - timedelta(minutes=10))}")
    assert read_told(lag).said == "complete"
