"""A source stops generating five of its eight module types, and every queue of ours stays empty.

Only what it says of its own records tells; the same days are told with less and less evidence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.base.config import Settings
from app.store.engine import Store
from tests.scenario.timelines import Player, Timeline
from tests.world import Told, World, open_world

STOPPED = ("quick_update", "ilt", "checklist", "quest", "course")
GOING_ON = ("assessment", "mission", "coaching")
HOURLY = {"quick_update": 3, "ilt": 1, "checklist": 2, "quest": 6, "course": 4} | dict.fromkeys(
    GOING_ON, 2
)
SHORT, STALLED = "incomplete short", "stalled deficit_not_shrinking"
# From 23 May 06:00 to 29 May 08:00.
HOURS = 6 * 24 + 2

WITH_MANIFESTS = Timeline(
    clock="2025-05-23T05:00:00Z",
    streams=HOURLY,
    steps=(
        {"at": "23 06:00", "expect": dict.fromkeys((*HOURLY, "+".join(HOURLY)), "complete")},
        {"at": "23 06:00", "do": "stop", "with": {"streams": STOPPED}},
        {
            "at": "23 06:14",
            "expect": {"quest": "complete", "assessment": "complete"},
            "counts": {"pending": 0, "defects": 0, "missing quest": 6},
        },
        {
            "at": "23 06:15",
            "expect": dict.fromkeys(STOPPED, SHORT)
            | dict.fromkeys(GOING_ON, "complete")
            | {"quest+assessment": SHORT, "mission+coaching": "complete"},
            "counts": {"pending": 0, "defects": 5, "missing quest": 6, "missing ilt": 1},
        },
        {"at": "23 06:44", "expect": dict.fromkeys(STOPPED, SHORT)},
        {
            "at": "23 06:45",
            "expect": dict.fromkeys(STOPPED, STALLED)
            | dict.fromkeys(GOING_ON, "complete")
            | {"assessment+quest": STALLED},
            "counts": {"pending": 0, "defects": 5},
        },
        {
            "at": "24 08:00",
            "expect": {"quest": STALLED, "assessment": "complete", "+".join(HOURLY): STALLED},
            "demand": {"assessment": 200, "quest": 412, "assessment+ilt": 412},
            "counts": {"pending": 0, "missing quest": 26 * 6, "missing assessment": 0},
        },
        {
            "at": "29 08:10",
            "expect": {"quest": STALLED, "ilt": STALLED, "coaching": "complete"},
            "counts": {"pending": 0, "missing quest": HOURS * 6, "missing ilt": HOURS},
        },
        {"at": "29 08:10", "do": "resume", "with": {"streams": STOPPED}},
        {
            "at": "29 08:11",
            "do": "repair",
            "with": {"streams": STOPPED, "minutes": 30},
            "expect": dict.fromkeys(STOPPED, "catching_up repairing")
            | dict.fromkeys(GOING_ON, "complete")
            | {"quest+mission": "catching_up repairing"},
            "demand": {"assessment": 200, "quest": 503},
        },
        {
            "at": "29 08:20",
            "do": "backfill",
            "with": {"streams": STOPPED, "share": 0.5},
            "expect": dict.fromkeys(STOPPED, "catching_up repairing"),
        },
        {
            "at": "29 08:25",
            "do": "backfill",
            "with": {"streams": STOPPED},
            "expect": dict.fromkeys((*HOURLY, "+".join(HOURLY)), "complete"),
            "counts": {"pending": 0, "defects": 0, "missing quest": 0},
        },
        {"at": "29 08:26", "do": "backfill", "with": {"streams": STOPPED}},
        {"at": "29 08:40", "expect": {"+".join(HOURLY): "complete"}},
    ),
)


MORNING = WITH_MANIFESTS.clock
EVERYTHING = "+".join(HOURLY)
STOP = {"at": "23 06:00", "do": "stop", "with": {"streams": STOPPED}}


def said_each_time(said: str, *moments: str) -> list[dict[str, object]]:
    """Steps that expect the same of each module type, with nothing waiting here."""
    expected = dict.fromkeys((*HOURLY, EVERYTHING), said)
    return [{"at": at, "expect": expected, "counts": {"pending": 0}} for at in moments]


# Without evidence nobody can say, from the first day on, whether generation goes on or not.
NO_EVIDENCE = replace(
    WITH_MANIFESTS,
    evidence="none",
    steps=(
        *said_each_time("unknown manifest_missing", "23 05:59"),
        STOP,
        *said_each_time("unknown manifest_missing", "23 06:15", "23 06:45", "24 08:00", "29 08:10"),
    ),
)
# Counted from what was generated: everything agrees, at zero, and proves nothing.
COUNTED_AT_THE_EMITTER = replace(
    WITH_MANIFESTS,
    evidence="emitter",
    steps=(
        *said_each_time("unknown origin_unverified", "23 05:59"),
        STOP,
        *said_each_time(
            "unknown origin_unverified", "23 06:15", "23 06:45", "24 08:00", "29 08:10"
        ),
    ),
)
# Heartbeats tell of a backlog, never of completeness; it stalls half an hour after it stood still.
HEARTBEATS_ONLY = replace(
    WITH_MANIFESTS,
    evidence="heartbeats",
    steps=(
        *said_each_time("unknown manifest_missing", "23 05:59"),
        STOP,
        *said_each_time("unknown manifest_missing", "23 06:15", "23 06:30"),
        {
            "at": "23 06:45",
            "expect": dict.fromkeys(STOPPED, "stalled upstream_backlog")
            | dict.fromkeys(GOING_ON, "unknown manifest_missing")
            | {EVERYTHING: "stalled upstream_backlog"},
            "counts": {"pending": 0},
        },
        {"at": "24 08:00", "expect": {"quest": "stalled upstream_backlog"}},
        {"at": "29 08:10", "do": "resume", "with": {"streams": STOPPED}},
        {"at": "29 08:11", "do": "backfill", "with": {"streams": STOPPED}},
        *said_each_time("unknown manifest_missing", "29 08:13"),
    ),
)
# Totals of a day, an hour after it ended: honest and late. Their objective is 26 hours.
NIGHTLY_TOTALS = replace(
    WITH_MANIFESTS,
    clock="2025-05-22T00:00:00Z",
    terms={"bucket_s": 86_400, "close_delay_s": 3600, "grace_s": 1800, "objective_s": 93_600},
    steps=(
        *said_each_time("complete", "23 05:59"),
        STOP,
        *said_each_time("complete", "23 06:45", "23 23:50"),
        {
            "at": "24 01:29",
            "expect": dict.fromkeys(HOURLY, "complete"),
            "counts": {"pending": 0, "defects": 0},
        },
        {
            "at": "24 01:30",
            "expect": dict.fromkeys(STOPPED, SHORT) | dict.fromkeys(GOING_ON, "complete"),
            "counts": {"pending": 0, "defects": 5, "missing quest": 18 * 6},
        },
        {"at": "24 02:00", "expect": {"quest": STALLED, EVERYTHING: STALLED}},
        {"at": "24 08:00", "expect": {"quest": STALLED, "assessment": "complete"}},
        {"at": "24 08:00", "do": "resume", "with": {"streams": STOPPED}},
        {
            "at": "24 08:05",
            "do": "backfill",
            "with": {"streams": STOPPED},
            "expect": {"quest": "complete", EVERYTHING: "complete"},
            "counts": {"defects": 0, "missing quest": 0},
        },
    ),
)


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    yield from open_world(store, settings, begins=datetime(2025, 5, 22, tzinfo=UTC))


def test_manifests_of_records_tell_it_within_a_quarter_of_an_hour(world: World) -> None:
    played = Player(world, WITH_MANIFESTS)
    played.play()
    answers, six = played.answers, datetime(2025, 5, 23, 6, tzinfo=UTC)
    assert answers["23 06:14", "quest"].through == six
    stalled = answers["24 08:00", "quest"]
    assert (stalled.through, stalled.parameters["missing"]) == (six, 156)
    assert stalled.parameters["target"] == datetime(2025, 5, 24, 7, 40, tzinfo=UTC)
    healed = answers["29 08:40", EVERYTHING]
    assert healed.through == datetime(2025, 5, 29, 8, 30, tzinfo=UTC)
    defects = world.defects("all")
    assert len(defects) == 5 * HOURS
    assert {row["resolution"] for row in defects} == {"matched"}
    assert what_was_said_of(world, "quest", since=six) == [
        ("complete", None, "2025-05-23T06:00:00"),
        ("incomplete", "short", "2025-05-23T06:15:00"),
        ("stalled", "deficit_not_shrinking", "2025-05-23T06:45:00"),
        ("catching_up", "repairing", "2025-05-29T08:11:00"),
        ("complete", None, "2025-05-29T08:25:00"),
    ]
    check_receipts(world, answers)


def what_was_said_of(world: World, stream: str, *, since: datetime) -> list[object]:
    """Verdict, reason and since when, over all sources; each verdict once."""
    path = f"/v1/completeness/history?stream={stream}&limit=1000"
    told: list[tuple[str, str | None, str]] = []
    for entry in world.caller().get(path).json()["items"]:
        said = (entry["verdict"], entry["reason"])
        if entry["source"] or datetime.fromisoformat(entry["known_from"]) < since:
            continue
        if not told or told[-1][:2] != said:
            told.append((*said, entry["known_from"][:19]))
    return list(told)


def check_receipts(world: World, answers: Mapping[tuple[str, str], Told]) -> None:
    """A receipt says what was said then and what is known now of the same data."""
    stalled = answers["24 08:00", "quest"].response.headers["data-receipt"]
    told = world.caller().get(f"/v1/receipts/{stalled}").json()
    assert (told["then"]["verdict"], told["then"]["missing"]) == ("stalled", 156)
    assert told["then"]["through"] == "2025-05-23T06:00:00Z"
    now_known = told["now_known"]
    assert (now_known["missing"], now_known["defects"]) == (156, 26)
    assert now_known["found_at"] == "2025-05-23T06:15:00Z"
    assert now_known["rows_changed_since"] >= HOURS * 6
    complete = answers["23 06:14", "quest"].response.headers["data-receipt"]
    told = world.caller().get(f"/v1/receipts/{complete}").json()
    assert (told["then"]["verdict"], told["now_known"]["verdict"]) == ("complete", "complete")
    assert told["now_known"]["defects"] == 0


@pytest.mark.parametrize(
    "timeline",
    [NO_EVIDENCE, COUNTED_AT_THE_EMITTER, HEARTBEATS_ONLY, NIGHTLY_TOTALS],
    ids=["no_evidence", "counted_at_the_emitter", "heartbeats_only", "nightly_totals"],
)
def test_less_evidence_never_says_more_than_it_can(world: World, timeline: Timeline) -> None:
    Player(world, timeline).play()
