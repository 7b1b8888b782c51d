"""$expand to several rows: one statement a page, with options of its own, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.store.engine import Store
from app.store.tables import Membership
from tests.contract.feed_rows import START, FeedKeys, feed_client, fill_feed, progress, write_rows

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    keys: FeedKeys = fill_feed(store)
    memberships = [
        {"membership_id": n, "learner_key": "u1", "team_key": "t1", "since": START.replace(day=n)}
        for n in (1, 2)
    ]
    write_rows(store, Membership, environment_id=1, rows=memberships)
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


def ask(client: TestClient, path: str) -> dict[str, Any]:
    """The body of an answer."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_related_rows_come_as_a_list_in_the_order_of_their_key(client: TestClient) -> None:
    path = "LearnerProgress?$select=assignment_id&$top=2&$expand=attempts_made($select=attempt)"
    body = ask(client, path)

    assert body["@odata.context"].endswith("#LearnerProgress(assignment_id,attempts_made(attempt))")
    assert body["value"] == [
        {
            "assignment_id": 1,
            "attempts_made": [{"@odata.id": f"Attempts({n})", "attempt": n} for n in (1, 2, 3, 4)],
        },
        {"assignment_id": 2, "attempts_made": []},
    ]


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ("$filter=attempt gt 2", [3, 4]),
        ("$filter=assignment/learner_key eq 'u1' and attempt ne 1", [2, 3, 4]),
        ("$filter=attempt lt @most", [1]),
        ("$orderby=attempt desc", [4, 3, 2, 1]),
        ("$orderby=score,attempt desc;$top=2", [4, 3]),
        ("$top=2", [1, 2]),
        ("$top=0", []),
        ("$skip=3", [4]),
        ("$skip=1;$top=2;$orderby=attempt desc", [3, 2]),
        ("$filter=false", []),
    ],
)
def test_options_in_parentheses_choose_among_them(
    client: TestClient, options: str, attempts: list[int]
) -> None:
    expand = f"attempts_made($select=attempt;{options})"
    body = ask(client, f"LearnerProgress(1)?$select=assignment_id&$expand={expand}&@most=2")

    assert [row["attempt"] for row in body["attempts_made"]] == attempts


def test_within_parentheses_it_is_the_row_of_the_path(client: TestClient) -> None:
    """URL Conventions 5.1.1.14.4."""
    of_first = "progress($filter=$it/learner_key eq 'u1';$select=assignment_id)"
    rows = ask(client, f"Learners?$select=learner_key&$expand={of_first}")["value"]
    assert [len(row["progress"]) for row in rows] == [5, 0, 0, 0, 0]
    behind = "learners($filter=$it/name eq 'Team';$select=learner_key)"
    team = ask(client, f"Learners(1)/team?$select=name&$expand={behind}")
    assert [row["learner_key"] for row in team["learners"]] == ["u1"]
    answer = client.get("Learners?$expand=progress($filter=$it/assignment_id eq 1)")
    assert answer.json()["error"]["message"].startswith("Learners has no field 'assignment_id'")


def test_expansions_nest_in_both_directions(client: TestClient) -> None:
    inner = "progress($select=assignment_id;$orderby=assignment_id;$top=2;$expand=attempts_made("
    inner += "$select=attempt;$top=1;$expand=module($select=name)),module($select=module_key))"
    path = f"Learners?$filter=learner_key eq 'u1'&$select=learner_key&$expand={inner},teams"
    (learner,) = ask(client, path)["value"]

    mine = [p for p in map(progress, range(23)) if p["learner_key"] == "u1"][:2]
    assert learner["progress"] == [
        {
            "assignment_id": row["assignment_id"],
            "attempts_made": [
                {
                    "@odata.id": "Attempts(1)",
                    "attempt": 1,
                    "module": {"@odata.id": "Modules(1)", "name": 'Module "0"'},
                }
            ]
            if row["assignment_id"] == 1
            else [],
            "module": {
                "@odata.id": f"Modules({int(row['module_key'][1:]) + 1})",
                "module_key": row["module_key"],
            },
        }
        for row in mine
    ]
    assert [row["membership_id"] for row in learner["teams"]] == [1, 2]


def test_every_page_of_a_walk_brings_them_along(client: TestClient) -> None:
    path = "LearnerProgress?$select=assignment_id&$orderby=score desc&$expand=attempts_made"
    found: dict[int, int] = {}
    headers = {"Prefer": "odata.maxpagesize=5"}
    link = path
    while link:
        body = client.get(link, headers=headers).json()
        found |= {row["assignment_id"]: len(row["attempts_made"]) for row in body["value"]}
        link = body.get("@odata.nextLink", "")

    assert found == {n: 4 if n == 1 else 0 for n in range(1, 24)}


def test_rows_of_a_neighbour_are_never_among_them(client: TestClient) -> None:
    # Both environments hold the same keys: each attempt would come twice.
    body = ask(client, "LearnerProgress(1)?$expand=attempts_made($select=attempt_id)")

    assert [row["attempt_id"] for row in body["attempts_made"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("expand", "status", "target"),
    [
        ("learner($count=true)", 501, "$expand"),
        ("attempts_made($top=-1)", 400, "$top"),
        ("attempts_made($filter=nothing eq 1)", 400, "nothing"),
        ("attempts_made($filter=)", 400, "$expand"),
        ("attempts_made($orderby=1)", 400, None),
        ("learner($top=1)", 501, "$expand"),
    ],
)
def test_what_cannot_be_expanded_is_said(
    client: TestClient, expand: str, status: int, target: str | None
) -> None:
    answer = client.get(f"LearnerProgress?$expand={expand}")

    assert answer.status_code == status, answer.text
    assert answer.json()["error"].get("target") == target


def test_streams_of_all_types_count_where_rows_of_any_type_come_along(client: TestClient) -> None:
    plain = client.get("Learners?$top=1").headers["data-freshness-streams"]
    along = client.get("Learners?$top=1&$expand=progress").headers["data-freshness-streams"]
    quests = "Learners?$top=1&$expand=progress($filter=module_type eq 'quest')"
    narrowed = client.get(quests).headers["data-freshness-streams"]

    assert [text.count("quest") for text in (plain, along, narrowed)] == [0, 1, 1]
    assert ("ilt" in along, "ilt" in narrowed) == (True, False)


def test_metadata_tells_the_way_there_and_back(client: TestClient) -> None:
    document = client.get("$metadata").text

    assert 'Type="Collection(fullcount.Attempt)" Partner="assignment"' in document
    assert "NonExpandableProperties" not in document
