"""What a consumer may demand of freshness, and what every answer says of it in the end."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import http_sf
import pytest
import time_machine
from sqlalchemy import insert, update

from app.base.config import Settings
from app.ledger.defects import check_all_books
from app.ledger.history import keep_history
from app.store.engine import Store, transaction
from app.store.evidence import note_evidence
from app.store.tables import BucketDelta, Environment, Repair, Tally
from app.store.tables.columns import table_of
from tests.contract.site import Caller, Site, open_site
from tests.contract.speaking import NOON, Speaker, spell

QUESTS = "/v1/reports/learner_progress?module_type=quest"
FEED = "/odata/v4/LearnerProgress?$filter=module_type eq 'quest'"
COMPLETE_FEED = "/odata/v4/complete/LearnerProgress?$filter=module_type eq 'quest'"


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def site(clock: Any, store: Store, settings: Settings) -> Site:
    return open_site(store, settings)


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.caller("acme")


@pytest.fixture
def source(caller: Caller, store: Store, settings: Settings) -> Speaker:
    """Everything complete at noon: two quests, recorded at eleven."""
    speaker = Speaker(caller, store, settings)
    speaker.sends("q1", "q2", at=NOON - timedelta(hours=1))
    speaker.declares(NOON - timedelta(minutes=10), quest=2)
    speaker.beats(NOON)
    return speaker


def item_of(response: Any) -> tuple[str, dict[str, Any]]:
    """The verdict of an answer and its parameters, as RFC 9651 reads them."""
    parsed: Any = http_sf.parse(response.headers["data-freshness"].encode(), tltype="item")
    return str(parsed[0]), dict(parsed[1])


def verdict_of(response: Any) -> tuple[str, str | None]:
    state, told = item_of(response)
    reason = told.get("reason")
    return state, None if reason is None else str(reason)


def now_is(clock: Any, moment: datetime, source: Speaker | None = None) -> None:
    clock.move_to(moment)
    if source is not None:
        source.beats(moment)


def hold_back(clock: Any, source: Speaker) -> None:
    """At 12:30 the interval from 11:50 to 12:00 lacks one quest of three, past its grace."""
    source.sends("q3", "q4", at=NOON - timedelta(minutes=5))
    now_is(clock, NOON + timedelta(minutes=30), source)
    since = NOON - timedelta(minutes=10)
    source.declares(NOON, since=since, quest=3)
    source.declares(NOON + timedelta(minutes=20), since=NOON)


def test_what_is_declared_and_applied_is_complete_and_says_through_when(
    caller: Caller, source: Speaker
) -> None:
    for response in (
        caller.get(QUESTS),
        caller.get(FEED),
        caller.get(COMPLETE_FEED),
        caller.get("/odata/v4/LearnerProgress(1)"),
        caller.get("/odata/v4/LearnerProgress/$count"),
        caller.post("/v1/query", json={"dataset": "LearnerProgress", "require": "complete"}),
        caller.get("/v1/ingestion/lag"),
    ):
        assert response.status_code == 200, response.text
        state, told = item_of(response)
        assert (state, told["missing"], str(told["assurance"])) == ("complete", 0, "record")
        assert told["through"] == NOON - timedelta(minutes=10)
        assert told["target"] == NOON - timedelta(minutes=20)
        assert told["weak"] is True
        assert told["settled"] is False
        streams: Any = http_sf.parse(
            response.headers["data-freshness-streams"].encode(), tltype="list"
        )
        assert {str(parameters["v"]) for _, parameters in streams} == {"complete"}
        assert {parameters["source"] for _, parameters in streams} == {"legacy"}
        both = response.headers["data-freshness"] + response.headers["data-freshness-streams"]
        assert len(both) <= 2048


def test_time_alone_ends_a_verdict_though_nothing_is_running(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)
    now_is(clock, NOON + timedelta(minutes=2, seconds=59))
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)
    now_is(clock, NOON + timedelta(minutes=3, seconds=1))
    assert verdict_of(caller.get(QUESTS)) == ("unknown", "source_silent")
    now_is(clock, NOON + timedelta(minutes=20), source)
    assert verdict_of(caller.get(QUESTS)) == ("unknown", "manifest_missing")


def test_a_deficit_is_incomplete_then_stalls_and_another_stream_stays_complete(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    hold_back(clock, source)
    response = caller.get(QUESTS)
    assert verdict_of(response) == ("incomplete", "short")
    assert item_of(response)[1]["missing"] == 1
    assert item_of(response)[1]["worst"] == "quest"
    assert verdict_of(caller.get("/v1/reports/learner_progress?module_type=ilt"))[0] == "complete"
    now_is(clock, NOON + timedelta(minutes=61), source)
    source.declares(NOON + timedelta(minutes=50), since=NOON + timedelta(minutes=20))
    assert verdict_of(caller.get(QUESTS)) == ("stalled", "deficit_not_shrinking")


def test_what_is_merely_on_its_way_does_not_look_like_a_repair(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    hold_back(clock, source)
    now_is(clock, NOON + timedelta(minutes=31), source)
    since = NOON + timedelta(minutes=20)
    source.declares(NOON + timedelta(minutes=30), since=since, quest=1)
    assert item_of(caller.get(QUESTS))[1]["missing"] == 2
    source.sends("q5", at=NOON + timedelta(minutes=25))
    source.declares(NOON + timedelta(minutes=30), since=since, quest=1)
    response = caller.get(QUESTS)
    assert item_of(response)[1]["missing"] == 1
    assert verdict_of(response) == ("incomplete", "short")
    source.sends("q6", at=NOON - timedelta(minutes=5))
    source.declares(NOON + timedelta(minutes=30), since=since, quest=1)
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)


def test_a_require_that_is_not_met_gives_no_rows_but_the_verdict(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    hold_back(clock, source)
    asked = {"dataset": "LearnerProgress", "require": "complete"}
    for response in (
        caller.get(f"{QUESTS}&require=complete"),
        caller.get(f"{QUESTS}&max_lag=PT5M"),
        caller.get(f"{FEED}&require=complete"),
        caller.get(COMPLETE_FEED),
        caller.get(f"{COMPLETE_FEED}&require=catching_up"),
        caller.post("/v1/query", json=asked),
    ):
        assert response.status_code == 412, response.text
        assert verdict_of(response) == ("incomplete", "short")
        assert 'rel="describedby"' in response.headers["link"]
        assert response.headers["data-receipt"]
        assert "q1" not in response.text
    assert caller.get(f"{QUESTS}&require=complete").json()["code"] == "query.freshness_unmet"
    assert caller.get(COMPLETE_FEED).json()["error"]["code"] == "query.freshness_unmet"


def test_what_is_catching_up_may_be_waited_for(
    caller: Caller, source: Speaker, clock: Any, store: Store
) -> None:
    hold_back(clock, source)
    lease = {
        "environment_id": caller.environment_id,
        "repair_id": 17,
        "source_id": 1,
        "streams": '["quest"]',
        "state": "running",
        "done": 120,
        "total": 618,
        "started_at": NOON,
        "lease_until": NOON + timedelta(minutes=40),
    }
    with transaction(store) as connection:
        connection.execute(insert(table_of(Repair)).values(**lease))
        note_evidence(connection, caller.environment_id)
    for response in (caller.get(f"{QUESTS}&require=complete"), caller.get(COMPLETE_FEED)):
        assert response.status_code == 503
        assert 1 <= int(response.headers["retry-after"]) <= 120
        assert verdict_of(response) == ("catching_up", "repairing")
    assert caller.get(f"{QUESTS}&require=catching_up").status_code == 200
    (quest,) = caller.get("/v1/ingestion/lag?stream=quest").json()["streams"]
    assert quest["repair"] == {"id": 17, "state": "running", "done": 120, "of": 618}


def test_lag_and_assurance_can_be_demanded(caller: Caller, source: Speaker) -> None:
    assert caller.get(f"{QUESTS}&max_lag=PT10M").status_code == 200
    late = caller.get(f"{QUESTS}&max_lag=PT9M30S")
    assert (late.status_code, late.headers["retry-after"]) == (503, "30")
    assert caller.get(f"{QUESTS}&require_assurance=record").status_code == 200
    source.declares(NOON, since=NOON - timedelta(minutes=10), anchor="outbox", streams=["quest"])
    weaker = caller.get(f"{QUESTS}&require_assurance=record")
    assert weaker.status_code == 412
    assert str(item_of(weaker)[1]["assurance"]) == "outbox"
    assert caller.get(f"{QUESTS}&require_assurance=outbox").status_code == 200


@pytest.mark.parametrize(
    "option", ["require=yes", "max_lag=30", "max_lag=P1M", "require_assurance=x", "until=now"]
)
def test_a_demand_that_cannot_be_read_is_refused(
    caller: Caller, source: Speaker, option: str
) -> None:
    for path in (QUESTS, FEED):
        response = caller.get(f"{path}&{option}")
        assert response.status_code == 400, response.text
        assert "data-freshness" not in response.headers


def test_an_answer_the_caller_has_is_not_sent_again_but_its_verdict_is(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    path = "/odata/v4/LearnerProgress?$select=learner_key&$filter=module_type eq 'quest'"
    first = caller.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    known = {"If-None-Match": f'W/"other", {tag}'}
    again = caller.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert verdict_of(again) == ("complete", None)
    now_is(clock, NOON + timedelta(minutes=4))
    changed = caller.get(path, headers=known)
    assert changed.status_code == 200
    assert verdict_of(changed) == ("unknown", "source_silent")
    source.sends("q9", at=NOON)
    assert caller.get(path, headers={"If-None-Match": changed.headers["etag"]}).status_code == 200


def test_rows_that_time_alone_changes_have_no_tag(caller: Caller, source: Speaker) -> None:
    assert "etag" not in caller.get("/odata/v4/LearnerProgress?$select=is_overdue").headers
    assert "etag" not in caller.get("/odata/v4/IngestionLag").headers


def test_annotations_are_left_out_for_who_does_not_want_them(
    caller: Caller, source: Speaker
) -> None:
    told = caller.get(FEED).json()
    assert told["@fullcount.verdict"] == "complete"
    assert told["@fullcount.complete_through"] == spell(NOON - timedelta(minutes=10))
    assert told["@fullcount.streams"][0]["verdict"] == "complete"
    for path in (FEED, "/odata/v4/LearnerProgress(1)"):
        wish = {"Prefer": 'odata.include-annotations="-*"'}
        plain = caller.get(path, headers=wish)
        assert not [name for name in plain.json() if name.startswith("@fullcount")]
        assert plain.headers["preference-applied"] == 'include-annotations="-*"'
        assert verdict_of(plain)[0] == "complete"


def test_an_event_that_comes_late_lowers_the_verdict_before_any_fold(
    caller: Caller, source: Speaker, store: Store
) -> None:
    source.sends("late", at=NOON - timedelta(hours=3))
    response = caller.get(QUESTS)
    assert verdict_of(response) == ("catching_up", "in_flight")
    assert item_of(response)[1]["through"] == NOON - timedelta(hours=3)
    with transaction(store) as connection:
        table = table_of(BucketDelta)
        gone = table.delete().where(table.c.environment_id == caller.environment_id)
        assert connection.execute(gone).rowcount > 0


def test_an_accepted_event_that_waits_is_in_flight(caller: Caller, source: Speaker) -> None:
    event = {"recordedtime": spell(NOON - timedelta(minutes=1)), "time": spell(NOON)}
    young = caller.post("/v1/events", json=[_pending("p1") | event])
    assert young.json()["accepted"] == 1
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)
    event["recordedtime"] = spell(NOON - timedelta(hours=2))
    caller.post("/v1/events", json=[_pending("p2") | event])
    assert verdict_of(caller.get(QUESTS)) == ("catching_up", "in_flight")


def _pending(name: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "legacy",
        "type": "progress.started",
        "data": {"learner": name, "module": "m7", "module_type": "quest"},
    }


def test_books_that_do_not_balance_are_a_defect_at_once_and_written_down(
    caller: Caller, source: Speaker, store: Store
) -> None:
    table = table_of(Tally)
    of_quest = (table.c.environment_id == caller.environment_id) & (table.c.stream == "quest")
    with transaction(store) as connection:
        connection.execute(update(table).where(of_quest).values(applied=table.c.applied + 1))
    assert verdict_of(caller.get(QUESTS)) == ("incomplete", "books_unbalanced")
    assert check_all_books(store, now=NOON) == 1
    assert check_all_books(store, now=NOON) == 0
    (defect,) = caller.get("/v1/ingestion/defects").json()["items"]
    assert (defect["kind"], defect["stream"], defect["source"]) == (
        "books_unbalanced",
        "quest",
        "legacy",
    )
    with transaction(store) as connection:
        connection.execute(update(table).where(of_quest).values(applied=table.c.applied - 1))
    assert check_all_books(store, now=NOON + timedelta(minutes=1)) == 1
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)


def test_a_journal_with_a_hole_spoils_every_stream(
    caller: Caller, source: Speaker, store: Store
) -> None:
    table = table_of(Environment)
    its_row = table.c.environment_id == caller.environment_id
    with transaction(store) as connection:
        connection.execute(update(table).where(its_row).values(last_seq=table.c.last_seq + 1))
    check_all_books(store, now=NOON)
    assert verdict_of(caller.get("/v1/reports/learner_progress?module_type=ilt")) == (
        "incomplete",
        "books_unbalanced",
    )


def test_a_waiver_is_audited_and_the_verdict_says_waived(
    caller: Caller, source: Speaker, clock: Any, site: Site
) -> None:
    hold_back(clock, source)
    (defect,) = caller.get("/v1/ingestion/defects").json()["items"]
    assert (defect["kind"], defect["missing"], defect["state"]) == ("short", 1, "open")
    path = f"/v1/ingestion/defects/{defect['defect_id']}/waive"
    told = {"person": "Ada Lovelace", "reason": "lost for good"}
    reader = site.key_of(caller.environment_id, "read")
    assert reader.post(path, json=told).status_code == 403
    assert caller.post(path, json={"person": "Ada"}).status_code == 422
    waived = caller.post(path, json=told)
    assert (waived.status_code, waived.json()["resolution"]) == (200, "waived")
    response = caller.get(QUESTS)
    assert response.headers["data-freshness"].startswith("incomplete;reason=short;waived;")
    assert caller.get(f"{QUESTS}&require=complete").status_code == 412
    assert caller.post(path, json=told).status_code == 400
    assert caller.post("/v1/ingestion/defects/99/waive", json=told).status_code == 404
    now_is(clock, NOON + timedelta(hours=5), source)
    since = NOON + timedelta(minutes=20)
    source.declares(NOON + timedelta(hours=4, minutes=50), since=since)
    assert item_of(caller.get(QUESTS))[0] == "incomplete"


def test_the_very_events_that_are_stuck_are_named(
    caller: Caller, source: Speaker, clock: Any
) -> None:
    at = NOON - timedelta(minutes=5)
    event = {"recordedtime": spell(at), "time": spell(at)}
    caller.post("/v1/events", json=[_pending("p7") | event])
    now_is(clock, NOON + timedelta(minutes=30), source)
    source.declares(NOON, since=NOON - timedelta(minutes=10), quest=1)
    (defect,) = caller.get("/v1/ingestion/defects?stream=quest").json()["items"]
    missing = caller.get(f"/v1/ingestion/defects/{defect['defect_id']}/missing").json()
    assert missing["stuck"] == [{"id": "p7", "disposition": "pending"}]
    (bucket,) = caller.get(
        "/v1/ingestion/buckets?source=legacy&stream=quest&state=unmatched"
    ).json()["items"]
    assert (bucket["declared"], bucket["accepted"], bucket["applied"]) == (1, 1, 0)


def test_a_receipt_tells_both_truths(
    caller: Caller, source: Speaker, clock: Any, store: Store
) -> None:
    now_is(clock, NOON + timedelta(minutes=20), source)
    source.declares(NOON + timedelta(minutes=10), since=NOON - timedelta(minutes=10))
    answer = caller.get(QUESTS)
    assert verdict_of(answer) == ("complete", None)
    token = answer.headers["data-receipt"]
    told = caller.get(f"/v1/receipts/{token}").json()
    assert (told["then"]["verdict"], told["now_known"]["verdict"]) == ("complete", "complete")
    assert told["then"]["links"]["run_again"] == QUESTS
    now_is(clock, NOON + timedelta(minutes=25), source)
    source.declares(
        NOON + timedelta(minutes=10), since=NOON - timedelta(minutes=10), version=2, quest=5
    )
    seen = caller.get(f"/v1/receipts/{token}").json()
    assert seen["then"]["verdict"] == "complete"
    assert (seen["now_known"]["verdict"], seen["now_known"]["missing"]) == ("incomplete", 5)
    assert seen["now_known"]["found_at"] == spell(NOON + timedelta(minutes=25))
    source.sends("q3", "q4", "q5", "q6", "q7", at=NOON)
    source.declares(NOON + timedelta(minutes=20), since=NOON + timedelta(minutes=10))
    healed = caller.get(f"/v1/receipts/{token}").json()["now_known"]
    assert (healed["verdict"], healed["missing"], healed["rows_changed_since"]) == (
        "incomplete",
        5,
        5,
    )
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)


def test_a_receipt_opens_in_its_own_environment_only(
    caller: Caller, source: Speaker, site: Site
) -> None:
    token = caller.get(QUESTS).headers["data-receipt"]
    assert site.caller("other").get(f"/v1/receipts/{token}").status_code == 400
    assert caller.get(f"/v1/receipts/{token}x").status_code == 400


def test_history_says_what_we_knew_when_and_is_written_on_change_only(
    caller: Caller, source: Speaker, clock: Any, store: Store
) -> None:
    assert keep_history(store, now=NOON) == 26
    assert keep_history(store, now=NOON + timedelta(minutes=1)) == 0
    hold_back(clock, source)
    later = NOON + timedelta(minutes=30)
    assert keep_history(store, now=later) == 2
    entries = caller.get("/v1/completeness/history?stream=quest").json()["items"]
    over_all = [entry for entry in entries if entry["source"] == ""]
    assert [(e["verdict"], e["reason"]) for e in over_all] == [
        ("complete", None),
        ("incomplete", "short"),
    ]
    assert over_all[0]["known_to"] == over_all[1]["known_from"] == spell(later)
    then = f"/v1/completeness/history?stream=quest&as_known_at={spell(NOON + timedelta(minutes=9))}"
    assert {entry["verdict"] for entry in caller.get(then).json()["items"]} == {"complete"}
    rows = caller.get("/odata/v4/CompletenessHistory?$filter=stream eq 'quest'").json()["value"]
    assert len(rows) == len(entries) == 4
    defects = caller.get("/odata/v4/Defects").json()["value"]
    assert [(row["source"], row["kind"], row["missing"]) for row in defects] == [
        ("legacy", "short", 1)
    ]


def test_the_lag_in_full(caller: Caller, source: Speaker, clock: Any) -> None:
    source.beats(
        NOON,
        closed_through=spell(NOON - timedelta(hours=6)),
        pending=618,
        oldest_pending=spell(NOON - timedelta(hours=5)),
    )
    lag = caller.get("/v1/ingestion/lag?stream=quest").json()
    assert (lag["verdict"], lag["reason"]) == ("catching_up", "upstream_backlog")
    (quest,) = lag["streams"]
    assert quest["lag"]["generation_s"] == 5 * 3600
    assert quest["lag"]["transport_s"] == 1
    assert quest["lag"]["evidence_age_s"] == 0
    assert (quest["data_lag_s"], quest["objective_s"], quest["assurance"]) == (
        600,
        1200,
        "record;weak",
    )
    assert quest["counts"]["declared"] == quest["counts"]["applied"] == 2
    (legacy,) = quest["sources"]
    assert (legacy["source"], legacy["pending"], legacy["sealed"]) == ("legacy", 618, False)
    row = caller.get("/odata/v4/IngestionLag('quest')").json()
    assert (row["verdict"], row["generation_lag_s"], row["declared"]) == ("catching_up", 18000, 2)
    before = f"/v1/ingestion/lag?stream=quest&at={spell(NOON - timedelta(hours=7))}"
    assert caller.get(before).json()["verdict"] == "complete"
    one = caller.post("/v1/query", json={"dataset": "Freshness"}).json()["rows"]
    assert [(row["verdict"], row["worst_stream"], row["streams_count"]) for row in one] == [
        ("catching_up", "quest", 13)
    ]


def test_what_one_environment_says_moves_no_verdict_of_another(
    caller: Caller, source: Speaker, site: Site
) -> None:
    other = site.caller("other")
    assert verdict_of(other.get(QUESTS)) == ("unknown", "manifest_missing")
    assert verdict_of(caller.get(QUESTS)) == ("complete", None)
